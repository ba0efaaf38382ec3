//! One server for each data folder: whoever serves it holds a lock in it. Two would take each other's uploads for what a
//! crash left behind (F11).

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The lock's file within the data folder.
const NAME: &str = "server.lock";

/// Proof that this process owns a data folder. Lost when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct Owner {
    _lock: File,
}

/// Takes a data folder, which must be there, for this process.
///
/// # Errors
/// Why that is not possible: another process has it, with its number; or the disk refuses.
pub fn claim(data_dir: &Path) -> Result<Owner, String> {
    let path = data_dir.join(NAME);
    let refused = |why: std::io::Error| format!("{} cannot be used: {why}.", path.display());
    let mut lock =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(refused)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // without a number it is said all the same
            let _ = lock.take(20).read_to_string(&mut owner);
            return Err(format!(
                "Another Burnish (process {}) uses {}. End it first, or choose another folder with --data-dir.",
                owner.trim(),
                data_dir.display()
            ));
        }
        Err(TryLockError::Error(why)) => return Err(refused(why)),
    }
    let written = lock.set_len(0).and_then(|()| lock.seek(SeekFrom::Start(0)));
    written.and_then(|_| writeln!(lock, "{}", std::process::id())).map_err(refused)?;
    Ok(Owner { _lock: lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f11_a_folder_has_one_owner_and_says_which() {
        let place = tempfile::tempdir().expect("a folder");
        let first = claim(place.path()).expect("free");
        let second = claim(place.path()).expect_err("taken");
        assert!(second.contains(&std::process::id().to_string()), "{second}");
        drop(first);
        assert!(claim(place.path()).is_ok(), "it is free again");
        assert!(claim(&place.path().join("none")).is_err());
    }
}
