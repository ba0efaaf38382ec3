//! What a number of a cell means by the cell's format: itself, a date, a time or a span of time.

use serde_json::{Number, Value};

/// What a format makes of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Numbers.
    #[default]
    Number,
    /// Days since an epoch, shown as a date.
    Date,
    /// The same, shown as a time of day.
    Time,
    /// The same, shown as both.
    DateTime,
    /// Days, shown as hours, minutes and seconds that may go beyond a day.
    Span,
}

impl Format {
    /// The format that every workbook has under a number.
    pub(super) fn built_in(number: u64) -> Self {
        match number {
            14..=17 | 27..=31 | 34..=36 | 50..=54 | 57 | 58 => Self::Date,
            18..=21 | 32 | 33 | 45 | 47 | 55 | 56 => Self::Time,
            22 => Self::DateTime,
            46 => Self::Span,
            _ => Self::Number,
        }
    }

    /// The format of a code such as `yyyy-mm-dd hh:mm`: its first part, without what stands in quotes.
    pub(super) fn of_code(code: &str) -> Self {
        let (mut date, mut time, mut month) = (false, false, false);
        let mut chars = code.chars();
        while let Some(char) = chars.next() {
            match char.to_ascii_lowercase() {
                ';' => break,
                '"' => {
                    chars.by_ref().any(|char| char == '"');
                }
                // The next one is shown as it is, or tells a width.
                '\\' | '_' | '*' => {
                    chars.next();
                }
                '[' => {
                    let inside: String = chars.by_ref().take_while(|char| *char != ']').collect();
                    let inside = inside.to_ascii_lowercase();
                    let same = |unit: char| !inside.is_empty() && inside.chars().all(|char| char == unit);
                    if ['h', 'm', 's'].into_iter().any(same) {
                        return Self::Span;
                    }
                }
                'y' | 'd' => date = true,
                'h' | 's' => time = true,
                // Months, or minutes beside hours or seconds.
                'm' => month = true,
                _ => {}
            }
        }
        match (date || month && !time, time) {
            (true, true) => Self::DateTime,
            (true, false) => Self::Date,
            (false, true) => Self::Time,
            (false, false) => Self::Number,
        }
    }

    /// A number as the sheet means it.
    pub(super) fn value(self, number: f64, since_1904: bool) -> Value {
        let text = match self {
            Self::Number => None,
            Self::Span => Some(span(number)),
            Self::Date | Self::Time | Self::DateTime => self.moment(number, since_1904),
        };
        text.map_or_else(|| plain(number), Value::from)
    }

    /// `None`: such a day is on no calendar, and the sheet shows no date for it either.
    fn moment(self, number: f64, since_1904: bool) -> Option<String> {
        let all = milliseconds(number)?;
        let (days, rest) = (all.div_euclid(DAY), all.rem_euclid(DAY));
        let time = clock(rest);
        if self == Self::Time {
            return (days >= 0).then_some(time);
        }
        let date = date(days, since_1904)?;
        Some(if self == Self::Date { date } else { format!("{date}T{time}") })
    }
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Days from 1904-01-01 to 9999-12-31.
const LAST: i64 = 2_957_003;

/// Days from 1900-01-01 to 1904-01-01.
const TO_1904: i64 = 1460;

fn milliseconds(days: f64) -> Option<i64> {
    let all = (days * DAY as f64).round();
    (all.abs() < 1e15).then_some(all as i64)
}

/// `10:00:00`, with the part of a second where there is one.
fn clock(milliseconds: i64) -> String {
    let (seconds, part) = (milliseconds / 1000, milliseconds % 1000);
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if part == 0 { text } else { format!("{text}.{part:03}") }
}

fn span(days: f64) -> String {
    match milliseconds(days) {
        Some(all) if all < 0 => format!("-{}", clock(-all)),
        Some(all) => clock(all),
        None => plain(days).to_string(),
    }
}

/// The day so many days after the epoch. Counted from 1900, day 60 is the 29th of February of a year that had none, and
/// day 1 the first of January.
fn date(days: i64, since_1904: bool) -> Option<String> {
    let after_1904 = match days {
        _ if since_1904 && days >= 0 => days,
        60 if !since_1904 => return Some("1900-02-29".to_owned()),
        1..60 if !since_1904 => days - 1 - TO_1904,
        61.. if !since_1904 => days - 2 - TO_1904,
        _ => return None,
    };
    if after_1904 > LAST {
        return None;
    }
    // Days since 0000-03-01, of which 400 years have 146,097 (after Howard Hinnant's `civil_from_days`).
    let since = after_1904 + 695_361;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    Some(format!("{:04}-{month:02}-{day:02}", era * 400 + year + next))
}

/// A number with its shortest text: whole ones without a point.
fn plain(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart_by_what_they_show() {
        for (code, wanted) in [
            ("General", Format::Number),
            ("0.00E+00", Format::Number),
            ("0%", Format::Number),
            ("#,##0 \"days\"", Format::Number),
            ("#,##0.00\\ [$€-407];[Red]\\-#,##0.00", Format::Number),
            ("[Red][<=100]0;0", Format::Number),
            ("_-* #,##0_d_-", Format::Number),
            ("yyyy-mm-dd", Format::Date),
            ("yyyy\"年\"m\"月\"d\"日\"", Format::Date),
            ("[$-F800]dddd\\,\\ mmmm\\ dd\\,\\ yyyy", Format::Date),
            ("mmm", Format::Date),
            ("dd/mm/yyyy hh:mm", Format::DateTime),
            ("h:mm AM/PM", Format::Time),
            ("mm:ss.0", Format::Time),
            ("[h]:mm:ss", Format::Span),
            ("[mm]:ss", Format::Span),
            ("0;yyyy", Format::Number),
        ] {
            assert_eq!(Format::of_code(code), wanted, "{code}");
        }
    }

    #[test]
    fn numbers_are_the_days_that_sheets_show() {
        for (format, number, since_1904, wanted) in [
            (Format::Number, 1.0, false, "1"),
            (Format::Number, -0.0, false, "0"),
            (Format::Number, 0.1, false, "0.1"),
            (Format::Number, 12_345_678_901.0, false, "12345678901"),
            (Format::Number, 1e300, false, "1e+300"),
            (Format::Date, 46_356.0, false, "\"2026-11-30\""),
            (Format::Date, 44_894.0, true, "\"2026-11-30\""),
            (Format::DateTime, 46_356.0 + 10.0 / 24.0, false, "\"2026-11-30T10:00:00\""),
            (Format::DateTime, 46_356.0, false, "\"2026-11-30T00:00:00\""),
            (Format::DateTime, 46_355.999_999_999_9, false, "\"2026-11-30T00:00:00\""),
            (Format::Date, 1.0, false, "\"1900-01-01\""),
            (Format::Date, 59.0, false, "\"1900-02-28\""),
            (Format::Date, 60.0, false, "\"1900-02-29\""),
            (Format::Date, 61.0, false, "\"1900-03-01\""),
            (Format::Date, 0.0, true, "\"1904-01-01\""),
            (Format::Date, 45_351.0, false, "\"2024-02-29\""),
            (Format::Date, 2_958_465.0, false, "\"9999-12-31\""),
            (Format::Date, 2_958_466.0, false, "2958466"),
            (Format::Date, 0.0, false, "0"),
            (Format::Date, -1.0, true, "-1"),
            (Format::Date, 1e300, false, "1e+300"),
            (Format::Time, 0.5, false, "\"12:00:00\""),
            (Format::Time, 46_356.25, false, "\"06:00:00\""),
            (Format::Time, 0.000_005_787, false, "\"00:00:00.500\""),
            (Format::Span, 1.25, false, "\"30:00:00\""),
            (Format::Span, -0.5, false, "\"-12:00:00\""),
        ] {
            assert_eq!(format.value(number, since_1904).to_string(), wanted, "{format:?} {number}");
        }
    }
}
