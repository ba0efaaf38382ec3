//! Rotary tables of a model: which one a layer and a length take.

use crate::config::{ModelConfig, RopeScaling};
use crate::kernels::Rotary;

/// Frequencies, worked out once.
#[derive(Clone, Debug)]
pub(crate) struct Ropes {
    main: Vec<f32>,
    /// For sequences longer than this many tokens.
    long: Option<(usize, Vec<f32>)>,
    /// For layers with a window.
    local: Option<Vec<f32>>,
    /// Factor on cosines and sines.
    scale: f32,
    /// Positions are rotary at all.
    used: bool,
    /// Where the base grows with the length of a text.
    dynamic: Option<ModelConfig>,
}

/// Cosines and sines of the tokens at hand; both absent where positions are learned or distances penalised.
pub(crate) struct Rotaries {
    main: Option<Rotary>,
    local: Option<Rotary>,
}

impl Ropes {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let (original, scale) = match &config.rope_scaling {
            RopeScaling::LongRope { original, attention_factor, .. } => {
                (*original as usize, *attention_factor as f32)
            }
            _ => (usize::MAX, 1.0),
        };
        Self {
            main: config.rope_frequencies(),
            long: config.long_frequencies().map(|long| (original, long)),
            local: config.local_frequencies(),
            scale,
            used: config.has_rotary(),
            dynamic: (config.rope_scaling == RopeScaling::Dynamic).then(|| config.clone()),
        }
    }

    /// For tokens at these positions, in sequences that reach `length` tokens.
    pub(crate) fn at(&self, positions: &[u32], length: usize) -> Rotaries {
        if !self.used {
            return Rotaries { main: None, local: None };
        }
        let long = self.long.as_ref().filter(|(original, _)| length > *original).map(|(_, long)| long);
        let grown = self.dynamic.as_ref().and_then(|config| config.dynamic_frequencies(length));
        let mut main = Rotary::new(positions, grown.as_ref().or(long).unwrap_or(&self.main));
        if self.scale != 1.0 {
            main.cos.iter_mut().chain(&mut main.sin).for_each(|x| *x *= self.scale);
        }
        Rotaries { main: Some(main), local: self.local.as_ref().map(|local| Rotary::new(positions, local)) }
    }
}

impl Rotaries {
    /// The table of a layer.
    pub(crate) fn of(&self, windowed: bool) -> Option<&Rotary> {
        self.local.as_ref().filter(|_| windowed).or(self.main.as_ref())
    }
}
