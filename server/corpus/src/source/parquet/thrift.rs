//! Just enough of Thrift's compact protocol to look at footers and headers of pages before anything is made of them.

/// Nesting of structures in a footer, which is some six deep.
const DEPTH: usize = 32;

/// Why bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// They end too early.
    Short,
    /// They are no Thrift.
    Wrong,
}

/// What a field or an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    True,
    False,
    Byte,
    /// A whole number of 16, 32 or 64 bits.
    Number,
    Double,
    Text,
    List,
    Map,
    Struct,
    Uuid,
}

impl Kind {
    fn of(code: u8) -> Result<Self, Broken> {
        Ok(match code {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4..=6 => Self::Number,
            7 => Self::Double,
            8 => Self::Text,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            13 => Self::Uuid,
            _ => return Err(Broken::Wrong),
        })
    }
}

/// Reads forward.
#[derive(Clone)]
pub(super) struct Thrift<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Elements of lists and maps so far.
    pub(super) elements: usize,
}

impl<'b> Thrift<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0, elements: 0 }
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let byte = self.bytes.get(self.at).ok_or(Broken::Short)?;
        self.at += 1;
        Ok(*byte)
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Broken> {
        let end = self.at.checked_add(count).ok_or(Broken::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Broken::Short)?;
        self.at = end;
        Ok(taken)
    }

    /// A number of seven bits a byte.
    pub(super) fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken::Wrong)
    }

    /// A number with a sign.
    pub(super) fn number(&mut self) -> Result<i64, Broken> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// Bytes with their length in front.
    pub(super) fn text(&mut self) -> Result<&'b [u8], Broken> {
        let length = usize::try_from(self.varint()?).map_err(|_| Broken::Wrong)?;
        self.take(length)
    }

    /// The next field of a structure, after the one of number `last`; `None` at its end.
    pub(super) fn field(&mut self, last: &mut i64) -> Result<Option<Kind>, Broken> {
        let header = self.byte()?;
        if header & 0x0F == 0 {
            return Ok(None);
        }
        *last = match header >> 4 {
            0 => self.number()?,
            step => last.checked_add(i64::from(step)).ok_or(Broken::Wrong)?,
        };
        Kind::of(header & 0x0F).map(Some)
    }

    /// What a list holds, and how many.
    pub(super) fn list(&mut self) -> Result<(Kind, usize), Broken> {
        let header = self.byte()?;
        if header == 0 {
            return Ok((Kind::Byte, 0));
        }
        let count = match header >> 4 {
            15 => usize::try_from(self.varint()?).map_err(|_| Broken::Wrong)?,
            count => usize::from(count),
        };
        // Each takes a byte at least.
        if count > self.bytes.len() - self.at {
            return Err(Broken::Short);
        }
        self.elements += count;
        Ok((Kind::of(header & 0x0F)?, count))
    }

    /// Passes over the value of a field.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<(), Broken> {
        self.skip_at(kind, 0)
    }

    fn skip_at(&mut self, kind: Kind, depth: usize) -> Result<(), Broken> {
        if depth > DEPTH {
            return Err(Broken::Wrong);
        }
        match kind {
            Kind::True | Kind::False => Ok(()),
            Kind::Byte => self.take(1).map(drop),
            Kind::Number => self.varint().map(drop),
            Kind::Double => self.take(8).map(drop),
            Kind::Uuid => self.take(16).map(drop),
            Kind::Text => self.text().map(drop),
            Kind::List => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(kind, depth))
            }
            Kind::Map => {
                let count = usize::try_from(self.varint()?).map_err(|_| Broken::Wrong)?;
                if count == 0 {
                    return Ok(());
                }
                if count > self.bytes.len() - self.at {
                    return Err(Broken::Short);
                }
                self.elements += count;
                let kinds = self.byte()?;
                let (key, value) = (Kind::of(kinds >> 4)?, Kind::of(kinds & 0x0F)?);
                (0..count).try_for_each(|_| {
                    self.skip_element(key, depth)?;
                    self.skip_element(value, depth)
                })
            }
            Kind::Struct => {
                let mut last = 0;
                while let Some(kind) = self.field(&mut last)? {
                    self.skip_at(kind, depth + 1)?;
                }
                Ok(())
            }
        }
    }

    fn skip_element(&mut self, kind: Kind, depth: usize) -> Result<(), Broken> {
        // In a list, a truth value has a byte of its own.
        let kind = if matches!(kind, Kind::True | Kind::False) { Kind::Byte } else { kind };
        self.skip_at(kind, depth + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_and_lists_are_passed_over() {
        // 1: 5, 2: ["ab"], 4: true, 5: {1: 3}, end; then one byte more.
        let bytes = [0x15, 0x0A, 0x19, 0x18, 2, b'a', b'b', 0x21, 0x1C, 0x15, 6, 0, 0, 9];
        let mut thrift = Thrift::new(&bytes);
        assert_eq!((thrift.skip(Kind::Struct), thrift.read(), thrift.elements), (Ok(()), 13, 1));
        assert_eq!(Thrift::new(&bytes[..6]).skip(Kind::Struct), Err(Broken::Short));
        assert_eq!(Thrift::new(&[0x1C; 100]).skip(Kind::Struct), Err(Broken::Wrong), "deep");
        assert_eq!(Thrift::new(&[0x19, 0xFC, 0xFF, 0xFF, 0xFF, 0x0F]).skip(Kind::Struct), Err(Broken::Short));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_reading_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut thrift = Thrift::new(&bytes);
            let _ = thrift.skip(Kind::Struct);
            prop_assert!(thrift.read() <= bytes.len());
        }
    }
}
