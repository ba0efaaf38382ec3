//! What the model will see of one row (S-147), through the functions that train on it.

use contract::dataset::{Behaviour, Mapping, Preview, PreviewToken};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;

use crate::encode::{Encoder, LaidToken, Taken};
use crate::source::Row;

/// What one row becomes.
#[derive(Default)]
struct Laid {
    tokens: Vec<LaidToken>,
    rejected: Vec<LaidToken>,
    reference: Vec<LaidToken>,
}

/// The tokens of row `number` (from 1) of `rows`. A row that is left out has no tokens and says why. Of
/// pre-training these are the row's own; what is read of it are blocks, see [`crate::block`]. For rm and dpo both sequences are shown,
/// for ppo the prompt and the reference answer.
///
/// # Errors
/// When the template refuses the conversation or the tokenizer fails.
pub fn preview(
    encoder: &Encoder,
    row: &Row,
    mapping: &Mapping,
    number: u64,
    rows: u64,
) -> Result<Preview, Problem> {
    let (laid, left_out) = match lay_out(encoder, row, mapping) {
        Ok(laid) => (laid.map_err(|problem| problem.row(number))?, None),
        Err(reason) => (Laid::default(), Some(reason)),
    };
    Ok(told(encoder, &laid, left_out, (number, rows)))
}

/// A preview of one sequence; nothing is left out.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn shown_sequence(encoder: &Encoder, tokens: &[LaidToken], place: (u64, u64)) -> Preview {
    told(encoder, &Laid { tokens: tokens.to_vec(), ..Laid::default() }, None, place)
}

fn told(encoder: &Encoder, laid: &Laid, left_out: Option<RowReason>, (row, rows): (u64, u64)) -> Preview {
    let shown = |laid: &[LaidToken]| laid.iter().map(|token| shown(encoder, token)).collect();
    let all = || laid.tokens.iter().chain(&laid.rejected);
    let cut = all().chain(&laid.reference).filter(|token| token.cut).count();
    Preview {
        row,
        rows,
        seen: all().filter(|token| !token.cut).count(),
        learned: all().filter(|token| token.learn && !token.cut).count(),
        cut,
        tokens: shown(&laid.tokens),
        rejected: shown(&laid.rejected),
        reference: shown(&laid.reference),
        block: None,
        left_out,
    }
}

/// The outer error is the reason why the row is left out.
fn lay_out(encoder: &Encoder, row: &Row, mapping: &Mapping) -> Result<Result<Laid, Problem>, RowReason> {
    let laid = match &Taken::from_row(row, mapping, encoder.stage, encoder.behaviour)? {
        Taken::Text(text) => {
            let token = |id| LaidToken { id, learn: true, cut: false, question: false };
            let ids = match encoder.behaviour {
                Behaviour::Corrected => encoder.line_ids(text, true, true),
                Behaviour::Original => encoder.text_ids(text, true),
            };
            ids.map(|ids| Laid { tokens: ids.into_iter().map(token).collect(), ..Laid::default() })
        }
        Taken::Pair(pair) => {
            let laid = encoder.lay_out_pair(pair);
            laid.map(|laid| Laid { tokens: laid.chosen, rejected: laid.rejected, ..Laid::default() })
        }
        Taken::Talk(talk) if encoder.stage == Stage::Ppo => encoder.lay_out_prompt(talk).and_then(|tokens| {
            let reference = encoder.lay_out_reference(talk)?;
            Ok(Laid { tokens, reference, ..Laid::default() })
        }),
        Taken::Talk(talk) => encoder.lay_out(talk).map(|tokens| Laid { tokens, ..Laid::default() }),
    };
    Ok(laid)
}

fn shown(encoder: &Encoder, token: &LaidToken) -> PreviewToken {
    PreviewToken {
        id: token.id,
        text: encoder.tokenizer.token_text(token.id),
        special: encoder.tokenizer.is_special(token.id),
        learned: token.learn && !token.cut,
        cut: token.cut,
    }
}
