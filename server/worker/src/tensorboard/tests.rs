//! Bytes that were reckoned by hand, and a small reader for what is written.

use serde_json::json;

use super::message::Event;
use super::record::{framed, masked_checksum};
use super::*;

/// A number of an event file: tag, step, value.
pub(crate) type Scalar = (String, u64, f32);

/// The numbers in a run's event files, as TensorBoard draws them: a restart voids the steps from its own on.
pub(crate) fn scalars(run: &Path) -> Vec<Scalar> {
    let mut all: Vec<Scalar> = Vec::new();
    for path in files(run) {
        let bytes = std::fs::read(&path).expect("reads");
        for (at, event) in records(&bytes).into_iter().enumerate() {
            let fields = fields(event);
            let step = fields.iter().find(|field| field.0 == 2).map_or(0, |field| number(field.1));
            match fields.last() {
                Some((3, version)) => assert_eq!((at, *version), (0, &b"brain.Event:2"[..])),
                Some((7, _)) => all.retain(|(_, other, _)| *other < step),
                Some((5, summary)) => {
                    let value = self::fields(self::fields(summary)[0].1);
                    let tag = String::from_utf8(value[0].1.to_vec()).expect("UTF-8");
                    let number = f32::from_le_bytes(value[1].1.try_into().expect("four bytes"));
                    all.push((tag, step, number));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    all
}

/// Event files of a run, in TensorBoard's order.
fn files(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join(FOLDER)).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("lists").path()).collect();
    files.sort();
    files
}

fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        let (record, rest) = bytes.split_at(usize::try_from(length).expect("short") + 16);
        let inner = &record[12..record.len() - 4];
        assert_eq!(record, framed(inner));
        records.push(inner);
        bytes = rest;
    }
    records
}

fn number(mut bytes: &[u8]) -> u64 {
    varint(&mut bytes)
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end");
    let (number, rest) = bytes.split_at(end + 1);
    *bytes = rest;
    number.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
}

/// Number and bytes of each field of a message.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1,
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("short"),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        fields.push((key >> 3, value));
        bytes = rest;
    }
    fields
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn checksums_are_castagnolis_and_masked() {
    // RFC 3720 B.4 has e3069283 of the digits and 8a9136aa of 32 zeros, before the mask.
    assert_eq!(masked_checksum(b"123456789"), 0xc78a_b0e5);
    assert_eq!(masked_checksum(&[0; 32]), 0x0fd7_fffa);
    assert_eq!(masked_checksum(b""), 0xa282_ead8);
}

#[test]
fn records_have_the_bytes_that_tensorboard_reads() {
    let version = framed(&Event::Version.encode(1.5));
    assert_eq!(
        hexadecimal(&version),
        "1800000000000000a37f4b22\
         09000000000000f83f\
         1a0d627261696e2e4576656e743a32\
         2a28646c"
    );
    let scalar = Event::Scalar { step: 300, tag: "train/loss".to_owned(), value: 0.25 };
    assert_eq!(
        hexadecimal(&framed(&scalar.encode(1.5))),
        "2100000000000000017becf6\
         09000000000000f83f\
         10ac02\
         2a130a110a0a747261696e2f6c6f7373150000803e\
         6557981f"
    );
    let restart = Event::Restart { step: 7 }.encode(1.5);
    assert_eq!(hexadecimal(&restart), "09000000000000f83f10073a020801");
}

#[test]
fn s_185_tags_are_those_of_transformers_and_only_numbers_are_written() {
    let place = tempfile::tempdir().expect("a folder");
    let mut file = EventFile::begin(place.path(), None).expect("begun");
    let line =
        json!({"loss": 1.5, "eval_loss": 2, "eval_rouge-l": 0.5, "grad_norm": null, "elapsed": "1:00"});
    file.add(1 << 40, line.as_object().expect("an object")).expect("written");
    let expected = [("train/loss", 1.5), ("eval/loss", 2.0), ("eval/rouge-l", 0.5)];
    assert_eq!(scalars(place.path()), expected.map(|(tag, value)| (tag.to_owned(), 1 << 40, value)));
    let name = files(place.path())[0].file_name().expect("named").to_string_lossy().into_owned();
    let (seconds, rest) = name.strip_prefix(NAME).and_then(|rest| rest.split_once('.')).expect("dots");
    assert!(seconds.parse::<u64>().expect("seconds").abs_diff(now().as_secs()) < 60);
    assert_eq!(rest, format!("burnish.{}.0", std::process::id()));
}

#[test]
fn s_180_a_later_attempt_voids_the_steps_it_makes_again() {
    let place = tempfile::tempdir().expect("a folder");
    let steps = |file: &mut EventFile, steps: std::ops::RangeInclusive<u64>, loss: f64| {
        for step in steps {
            file.add(step, json!({"loss": loss}).as_object().expect("an object")).expect("written");
        }
    };
    steps(&mut EventFile::begin(place.path(), None).expect("begun"), 0..=3, 1.0);
    steps(&mut EventFile::begin(place.path(), Some(2)).expect("begun"), 3..=4, 2.0);
    let loss = |step, value| ("train/loss".to_owned(), step, value);
    let first = [loss(0, 1.0), loss(1, 1.0), loss(2, 1.0)];
    assert_eq!(scalars(place.path()), [&first[..], &[loss(3, 2.0), loss(4, 2.0)]].concat());
    // Nothing was saved, and the clock was set back by a thousand years.
    let ahead = place.path().join(FOLDER).join(format!("{NAME}33000000000.burnish.1.0"));
    std::fs::rename(&files(place.path())[1], ahead).expect("renamed");
    steps(&mut EventFile::begin(place.path(), None).expect("begun"), 0..=1, 3.0);
    assert_eq!(scalars(place.path()), [loss(0, 3.0), loss(1, 3.0)]);
    assert_eq!(files(place.path()).len(), 3, "nothing is deleted");
}
