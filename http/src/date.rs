//! Dates of HTTP (RFC 9110 section 5.6.7) to and from Unix seconds.

const DAY_NAMES: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const LONG_DAY_NAMES: [&[u8]; 7] =
    [b"Thursday", b"Friday", b"Saturday", b"Sunday", b"Monday", b"Tuesday", b"Wednesday"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The last second that four digits of year can name: 9999-12-31 23:59:59.
const LAST: u64 = 253_402_300_799;

/// `unix` seconds as an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`; times beyond the year 9999 as
/// its last second.
#[must_use]
pub fn format_http_date(unix: u64) -> [u8; 29] {
    let unix = unix.min(LAST);
    let (days, second) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = civil(days);
    let weekday = DAY_NAMES.iter().cycle().nth(small(days % 7)).map_or(*b"Thu", |name| **name);
    let month = MONTHS.get(small(month.saturating_sub(1))).map_or(*b"Jan", |name| **name);
    let [d, da] = two(day);
    let ([y, ye], [yea, year]) = (two(year / 100), two(year % 100));
    let [h, ho] = two(second / 3600);
    let [m, mi] = two(second / 60 % 60);
    let [s, se] = two(second % 60);
    let ([w, we, wee], [mo, mon, mont]) = (weekday, month);
    [
        w, we, wee, b',', b' ', d, da, b' ', mo, mon, mont, b' ', y, ye, yea, year, b' ', h, ho, b':', m, mi,
        b':', s, se, b' ', b'G', b'M', b'T',
    ]
}

/// The Unix seconds of an HTTP date; `None` when it is none or lies before 1970.
///
/// RFC 9110 section 5.6.7: "A recipient that parses a timestamp value in an HTTP field MUST accept all
/// three HTTP-date formats." The year of the RFC 850 format has two digits: 70 to 99 are taken as
/// 1970 to 1999 and the others as 2000 to 2069, since the reading that depends on the present needs a
/// clock.
#[must_use]
pub fn parse_http_date(text: &[u8]) -> Option<u64> {
    imf_fixdate(text).or_else(|| rfc850(text)).or_else(|| asctime(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(text: &[u8]) -> Option<u64> {
    let (weekday, rest) = text.split_first_chunk::<3>()?;
    DAY_NAMES.contains(&weekday).then_some(())?;
    let rest = rest.strip_prefix(b", ")?;
    let (day, rest) = number::<2>(rest)?;
    let (month, rest) = month(rest.strip_prefix(b" ")?)?;
    let (year, rest) = number::<4>(rest.strip_prefix(b" ")?)?;
    let (second, rest) = time(rest.strip_prefix(b" ")?)?;
    (rest == b" GMT").then_some(())?;
    unix(year, month, day, second)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`.
fn rfc850(text: &[u8]) -> Option<u64> {
    let comma = text.iter().position(|&byte| byte == b',')?;
    let (weekday, rest) = text.split_at_checked(comma)?;
    LONG_DAY_NAMES.contains(&weekday).then_some(())?;
    let (day, rest) = number::<2>(rest.strip_prefix(b", ")?)?;
    let (month, rest) = month(rest.strip_prefix(b"-")?)?;
    let (year, rest) = number::<2>(rest.strip_prefix(b"-")?)?;
    let (second, rest) = time(rest.strip_prefix(b" ")?)?;
    (rest == b" GMT").then_some(())?;
    let century = if year >= 70 { 1900 } else { 2000 };
    unix(year.saturating_add(century), month, day, second)
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime(text: &[u8]) -> Option<u64> {
    let (weekday, rest) = text.split_first_chunk::<3>()?;
    DAY_NAMES.contains(&weekday).then_some(())?;
    let (month, rest) = month(rest.strip_prefix(b" ")?)?;
    let rest = rest.strip_prefix(b" ")?;
    let (day, rest) = match rest.strip_prefix(b" ") {
        Some(rest) => number::<1>(rest)?,
        None => number::<2>(rest)?,
    };
    let (second, rest) = time(rest.strip_prefix(b" ")?)?;
    let (year, rest) = number::<4>(rest.strip_prefix(b" ")?)?;
    rest.is_empty().then_some(())?;
    unix(year, month, day, second)
}

/// `N` digits from the front.
fn number<const N: usize>(text: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<N>()?;
    Some((crate::chars::decimal(digits)?, rest))
}

/// The month's name from the front, as 1 to 12.
fn month(text: &[u8]) -> Option<(u64, &[u8])> {
    let (name, rest) = text.split_first_chunk::<3>()?;
    let index = MONTHS.iter().position(|&each| each == name)?;
    Some((u64::try_from(index).ok()?.checked_add(1)?, rest))
}

/// `08:49:37` from the front, as seconds of the day. Second 60 is a leap second and counts as the next.
fn time(text: &[u8]) -> Option<(u64, &[u8])> {
    let (hour, rest) = number::<2>(text)?;
    let (minute, rest) = number::<2>(rest.strip_prefix(b":")?)?;
    let (second, rest) = number::<2>(rest.strip_prefix(b":")?)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some((hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?, rest))
}

fn unix(year: u64, month: u64, day: u64, second: u64) -> Option<u64> {
    if year < 1970 || day == 0 || day > month_length(year, month) {
        return None;
    }
    days(year, month, day)?.checked_mul(86_400)?.checked_add(second)
}

const fn month_length(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the four centuries that the calendar repeats after, and from 0000-03-01 to 1970-01-01.
const ERA: u64 = 146_097;
const TO_1970: u64 = 719_468;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, whose years are taken to start
/// in March so that the leap day is their last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let month_from_march = month.checked_add(9)? % 12;
    let of_year = month_from_march.checked_mul(153)?.checked_add(2)? / 5;
    let in_era = of_era.checked_mul(365)?.checked_add(of_era / 4)?.checked_sub(of_era / 100)?;
    era.checked_mul(ERA)?
        .checked_add(in_era)?
        .checked_add(of_year)?
        .checked_add(day.checked_sub(1)?)?
        .checked_sub(TO_1970)
}

/// The inverse of [`days`]: year, month, day.
#[allow(clippy::arithmetic_side_effects, reason = "days are below 3,000,000: nothing overflows")]
const fn civil(days: u64) -> (u64, u64, u64) {
    let from_march = days + TO_1970;
    let (era, of_era) = (from_march / ERA, from_march % ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

fn two(value: u64) -> [u8; 2] {
    let digit = |value: u64| u8::try_from(value % 10).map_or(b'0', |digit| digit | b'0');
    [digit(value / 10), digit(value)]
}

fn small(value: u64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
    use super::*;

    #[test]
    fn the_three_formats_of_the_rfc_name_one_second() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http_date(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(&format_http_date(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn known_seconds() {
        let known: &[(u64, &[u8; 29])] = &[
            (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, b"Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, b"Tue, 29 Feb 2000 23:59:59 GMT"),
            (1_709_164_800, b"Thu, 29 Feb 2024 00:00:00 GMT"),
            (4_107_542_400, b"Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST, b"Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (unix, text) in known {
            assert_eq!(format_http_date(*unix), **text);
            assert_eq!(parse_http_date(*text), Some(*unix));
        }
        assert_eq!(format_http_date(u64::MAX), format_http_date(LAST));
    }

    #[test]
    fn every_day_of_five_centuries_comes_back() {
        for day in 0..180_000 {
            let unix = day * 86_400 + day % 86_400;
            assert_eq!(parse_http_date(&format_http_date(unix)), Some(unix));
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Wed, 29 Feb 2023 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 06 08:49:37 1994 GMT",
            "Sun Nov  6 08:49:37 94",
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), None, "{text}");
        }
    }
}
