//! Files of a model's folder, read no further than they may be long.

use std::path::Path;

use contract::files::{Unread, limit, read_named};
use contract::problem::Problem;

use super::broken;
use super::limits::most_values;

/// Reads a file; `None` where there is none.
///
/// # Errors
/// `tokenizer.broken` for one that is too large, is no regular file, or cannot be read.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, Problem> {
    match read_named(&folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(why) if why.is_missing() => Ok(None),
        Err(Unread::NotAFile) => Err(broken(name, "it is no regular file")),
        Err(Unread::TooLarge { most }) => Err(too_large(name, most)),
        Err(Unread::Io(why)) => Err(broken(name, &why.to_string())),
    }
}

fn too_large(name: &str, most: u64) -> Problem {
    broken(name, &format!("it is larger than {most} bytes"))
}

/// Refuses JSON that is too large to be held as values.
///
/// # Errors
/// `tokenizer.broken`, naming the file.
pub(super) fn check_size(name: &str, bytes: &[u8]) -> Result<(), Problem> {
    let (largest, most) = (limit(name), most_values(name));
    if bytes.len() as u64 > largest {
        return Err(too_large(name, largest));
    }
    let (mut values, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b':' | b'[' | b'{' if !quoted => values += 1,
            _ => {}
        }
    }
    if values > most {
        return Err(broken(name, &format!("it holds more than {most} values")));
    }
    Ok(())
}
