//! What the model will see of one row (S-147), through the functions that train on it.

use contract::dataset::{Mapping, Preview, PreviewToken};
use contract::problem::Problem;
use contract::stage::Stage;

use crate::conversation::{Conversation, text_of};
use crate::encode::{Encoder, LaidToken};
use crate::source::Row;

/// The tokens of row `number` (from 1) of `rows`. A row that is left out has no tokens and says why. In
/// pre-training the row's own tokens are shown; blocks run over row ends.
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
    let laid = match encoder.stage {
        Stage::Pt => match text_of(row, mapping) {
            Ok(text) => {
                let ids = encoder.tokenizer.encode(&text, true)?;
                Ok(ids.into_iter().map(|id| LaidToken { id, learn: true, cut: false }).collect())
            }
            Err(reason) => Err(reason),
        },
        Stage::Sft => match Conversation::from_row(row, mapping) {
            Ok(conversation) => Ok(encoder.lay_out(&conversation).map_err(|problem| problem.row(number))?),
            Err(reason) => Err(reason),
        },
    };
    Ok(match laid {
        Ok(laid) => shown(encoder, &laid, number, rows),
        Err(reason) => Preview { left_out: Some(reason), ..shown(encoder, &[], number, rows) },
    })
}

fn shown(encoder: &Encoder, laid: &[LaidToken], row: u64, rows: u64) -> Preview {
    let token = |token: &LaidToken| PreviewToken {
        id: token.id,
        text: encoder.tokenizer.token_text(token.id),
        special: encoder.tokenizer.is_special(token.id),
        learned: token.learn && !token.cut,
        cut: token.cut,
    };
    let seen = laid.iter().filter(|token| !token.cut).count();
    Preview {
        row,
        rows,
        tokens: laid.iter().map(token).collect(),
        seen,
        learned: laid.iter().filter(|token| token.learn && !token.cut).count(),
        cut: laid.len() - seen,
        left_out: None,
    }
}
