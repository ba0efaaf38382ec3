//! Files of a model's folder, read no further than they may be long.

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

use contract::problem::Problem;

use super::broken;
use super::limits::{largest, most_values};

/// Reads a file; `None` where there is none.
///
/// # Errors
/// `tokenizer.broken` for one that is too large, is no regular file, or cannot be read.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, Problem> {
    match read_regular(&folder.join(name), largest(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(broken(name, &error.to_string())),
    }
}

fn read_regular(path: &Path, largest: u64) -> Result<Vec<u8>, Error> {
    let regular = |metadata: std::fs::Metadata| {
        if metadata.is_file() { Ok(metadata.len()) } else { Err(Error::other("it is no regular file")) }
    };
    // Asked before it is opened, for opening a pipe waits for whoever writes to it.
    regular(std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    let length = regular(file.metadata()?)?;
    let mut bytes = Vec::new();
    if length <= largest {
        file.take(largest + 1).read_to_end(&mut bytes)?;
    }
    if length > largest || bytes.len() as u64 > largest {
        return Err(Error::other(format!("it is larger than {largest} bytes")));
    }
    Ok(bytes)
}

/// Refuses JSON that is too large to be held as values.
///
/// # Errors
/// `tokenizer.broken`, naming the file.
pub(super) fn check_size(name: &str, bytes: &[u8]) -> Result<(), Problem> {
    let (largest, most) = (largest(name), most_values(name));
    if bytes.len() as u64 > largest {
        return Err(broken(name, &format!("it is larger than {largest} bytes")));
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
