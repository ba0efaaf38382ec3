//! `strftime` for chat templates that write today's date, without a calendar library.

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Seconds since 1970; 0 in the browser, where the caller sets the time.
pub(super) fn now() -> i64 {
    #[cfg(target_arch = "wasm32")]
    return 0;
    #[cfg(not(target_arch = "wasm32"))]
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |passed| i64::try_from(passed.as_secs()).unwrap_or(i64::MAX))
}

struct Moment {
    year: i64,
    month: usize,
    day: i64,
    yearday: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

/// Calendar parts of a time in UTC (the civil calendar by Howard Hinnant's day count).
fn moment(seconds: i64) -> Moment {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let march_day = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * march_day + 2) / 153;
    let day = march_day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let yearday = if month > 2 { march_day + 60 + i64::from(leap) } else { march_day - 305 };
    Moment {
        year,
        month: usize::try_from(month).unwrap_or(1),
        day,
        yearday,
        weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
    }
}

/// Formats a time as C's `strftime` in UTC; unknown codes stay as they are.
pub(super) fn strftime(format: &str, seconds: i64) -> String {
    let at = moment(seconds);
    let twelve = (at.hour + 11) % 12 + 1;
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        let part = match chars.next() {
            Some('Y') => at.year.to_string(),
            Some('y') => format!("{:02}", at.year.rem_euclid(100)),
            Some('m') => format!("{:02}", at.month),
            Some('d') => format!("{:02}", at.day),
            Some('e') => format!("{:2}", at.day),
            Some('j') => format!("{:03}", at.yearday),
            Some('H') => format!("{:02}", at.hour),
            Some('I') => format!("{twelve:02}"),
            Some('M') => format!("{:02}", at.minute),
            Some('S') => format!("{:02}", at.second),
            Some('p') => if at.hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('B') => MONTHS[at.month - 1].to_owned(),
            Some('b' | 'h') => MONTHS[at.month - 1][..3].to_owned(),
            Some('A') => DAYS[at.weekday].to_owned(),
            Some('a') => DAYS[at.weekday][..3].to_owned(),
            Some('F') => format!("{}-{:02}-{:02}", at.year, at.month, at.day),
            Some('T') => format!("{:02}:{:02}:{:02}", at.hour, at.minute, at.second),
            Some('%') => "%".to_owned(),
            Some(other) => format!("%{other}"),
            None => "%".to_owned(),
        };
        text.push_str(&part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::strftime;

    #[test]
    fn known_dates() {
        let leap_day = 1_709_211_909;
        assert_eq!(strftime("%Y-%m-%d %H:%M:%S %a %j", leap_day), "2024-02-29 13:05:09 Thu 060");
        assert_eq!(strftime("%d %b %Y, %I %p %%", 1_735_689_600), "01 Jan 2025, 12 AM %");
        assert_eq!(strftime("%A %e %B %j", 1_735_603_200), "Tuesday 31 December 366");
    }
}
