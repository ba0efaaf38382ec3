//! Numbers, sizes, durations and counts in words.

use contract::metric::Format;

use super::Lang;

/// Thousands separated: `1,200`.
pub(crate) fn num(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as people say them: `93 MB`, `1.1 GB`.
pub(crate) fn size(bytes: u64) -> String {
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", value / 1e6),
        _ => format!("{:.1} GB", value / 1e9),
    }
}

/// What is needed of a machine's memory: `0.3 of 25 GB`, `48 MB of 25 GB`; without the machine where it is not known.
pub(crate) fn of_memory(lang: Lang, needed: u64, machine: u64) -> String {
    if machine == 0 {
        return size(needed);
    }
    let all = format!("{:.0} GB", machine as f64 / 1e9);
    let part = if needed < 100_000_000 { size(needed) } else { format!("{:.1}", needed as f64 / 1e9) };
    match lang {
        Lang::En => format!("{part} of {all}"),
        Lang::Zh => format!("{part} / {all}"),
    }
}

/// Bytes of a file to three digits, as close as what a download says: `8.36 MB`, `145 MB`.
pub(crate) fn file_size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    let value = bytes as f64 / unit;
    let digits = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {name}")
}

/// A count of weights: `135 M`, `1.1 B` (in Chinese too, as model names write it).
pub(crate) fn weights(count: u64) -> String {
    let value = count as f64;
    match count {
        0..1_000_000 => format!("{:.0} k", value / 1e3),
        1_000_000..10_000_000 => format!("{:.1} M", value / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} M", value / 1e6),
        _ => format!("{:.1} B", value / 1e9),
    }
}

/// A duration in words, rounded the way a person would say it.
pub(crate) fn duration(lang: Lang, seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let (count, en, zh) = match seconds {
        s if s < 50.0 => {
            let tens = if s < 10.0 { s.ceil().max(1.0) } else { (s / 10.0).round() * 10.0 };
            (tens, "second", "秒")
        }
        s if s < 50.0 * 60.0 => ((s / 60.0).round().max(1.0), "minute", "分钟"),
        s if s < 36.0 * 3600.0 => ((s / 3600.0).round().max(1.0), "hour", "小时"),
        s => ((s / 86400.0).round(), "day", "天"),
    };
    match lang {
        Lang::En if count == 1.0 => format!("1 {en}"),
        Lang::En => format!("{count:.0} {en}s"),
        Lang::Zh => format!("{count:.0} {zh}"),
    }
}

/// How long ago something was.
pub(crate) fn ago(lang: Lang, now_ms: i64, then_ms: i64) -> String {
    let seconds = (now_ms - then_ms) as f64 / 1000.0;
    if seconds < 50.0 {
        return lang.pick("just now", "刚刚").to_owned();
    }
    let span = duration(lang, seconds);
    match lang {
        Lang::En => format!("{span} ago"),
        Lang::Zh => format!("{span}前"),
    }
}

/// `1 row`, `412 rows`.
pub(crate) fn rows(lang: Lang, count: u64) -> String {
    counted(lang, count, "row", "rows", "行")
}

/// `1 checkpoint`, `3 checkpoints`.
pub(crate) fn checkpoints(lang: Lang, count: u64) -> String {
    counted(lang, count, "checkpoint", "checkpoints", "个检查点")
}

fn counted(lang: Lang, count: u64, one: &str, many: &str, zh: &str) -> String {
    match lang {
        Lang::En if count == 1 => format!("1 {one}"),
        Lang::En => format!("{} {many}", num(count)),
        Lang::Zh => format!("{} {zh}", num(count)),
    }
}

/// A loss with three digits, `1.30e-4` or `2.10e7` where these say nothing or too much; a dash when it is not a number.
pub(crate) fn loss(value: Option<f64>) -> String {
    match value.filter(|v| v.is_finite()) {
        None => "–".to_owned(),
        Some(v) if v != 0.0 && !(5e-4..1e5).contains(&v.abs()) => format!("{v:.2e}"),
        Some(v) => format!("{v:.3}"),
    }
}

/// A metric as its format says: `62.5 %`, `3`, `0.131`.
pub(crate) fn metric(value: Option<f64>, format: Format) -> String {
    match (value.filter(|v| v.is_finite()), format) {
        (None, _) => "–".to_owned(),
        (Some(v), Format::Share) => format!("{:.1} %", 100.0 * v),
        (Some(v), Format::Score) => format!("{v:.1}"),
        (Some(v), Format::Count) => format!("{v:.0}"),
        (Some(v), Format::Number) => measure(Some(v)),
    }
}

/// A number of any size as it stands under its curve: three digits, `1.30e-4` where these would all be zero.
pub(crate) fn measure(value: Option<f64>) -> String {
    match value {
        Some(0.0) => "0".to_owned(),
        Some(v) if v.abs() < 5e-3 => format!("{v:.2e}"),
        _ => loss(value),
    }
}

/// A small number such as a learning rate: `1.31e-4`, `0`.
pub(crate) fn rate(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.2e}") }
}

/// Milliseconds since 1970, on either side.
pub(crate) fn now_ms() -> i64 {
    #[cfg(target_arch = "wasm32")]
    return js_sys::Date::now() as i64;
    #[cfg(not(target_arch = "wasm32"))]
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1200, 1_234_567].map(num), ["0", "999", "1,200", "1,234,567"].map(str::to_owned));
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said = |seconds| duration(Lang::En, seconds);
        assert_eq!(said(0.2), "1 second");
        assert_eq!(said(42.0), "40 seconds");
        assert_eq!(said(59.0), "1 minute");
        assert_eq!(said(130.0), "2 minutes");
        assert_eq!(said(7000.0), "2 hours");
        assert_eq!(said(200_000.0), "2 days");
        assert_eq!(duration(Lang::Zh, 130.0), "2 分钟");
    }

    #[test]
    fn one_row_is_not_rows() {
        assert_eq!(rows(Lang::En, 1), "1 row");
        assert_eq!(rows(Lang::En, 4120), "4,120 rows");
        assert_eq!(rows(Lang::Zh, 1), "1 行");
    }

    #[test]
    fn a_loss_that_is_no_number_is_a_dash() {
        assert_eq!(loss(Some(f64::NAN)), "–");
        assert_eq!(loss(None), "–");
        assert_eq!(loss(Some(1.2841)), "1.284");
        assert_eq!((loss(Some(2.1e7)).as_str(), loss(Some(1e-5)).as_str()), ("2.10e7", "1.00e-5"));
        assert_eq!((loss(Some(0.0)).as_str(), loss(Some(-0.25)).as_str()), ("0.000", "-0.250"));
        assert_eq!(metric(Some(0.625), Format::Share), "62.5 %");
        assert_eq!(measure(Some(f64::NAN)), "–");
        assert_eq!(measure(Some(-0.000_12)), "-1.20e-4");
        assert_eq!(measure(Some(-0.0)), "0");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(93_000_000), "93 MB");
        assert_eq!(size(1_100_000_000), "1.1 GB");
        assert_eq!(weights(134_515_008), "135 M");
        assert_eq!(of_memory(Lang::En, 310_000_000, 25_300_000_000), "0.3 of 25 GB");
        assert_eq!(of_memory(Lang::Zh, 48_000_000, 25_300_000_000), "48 MB / 25 GB");
        assert_eq!(of_memory(Lang::En, 48_000_000, 0), "48 MB");
        let three = [
            (8_364_000, "8.36 MB"),
            (83_640_000, "83.6 MB"),
            (145_400_000, "145 MB"),
            (1_234_000_000, "1.23 GB"),
        ];
        assert!(three.iter().all(|(bytes, said)| file_size(*bytes) == *said));
    }
}
