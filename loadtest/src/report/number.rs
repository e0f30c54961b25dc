//! Numbers as people read them: separated by thousands, three significant digits, with units.

/// `n` with a comma between thousands: `1,234,567`.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Something per second: whole from 100 up, with a decimal below.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second < 99.95 {
        return format!("{:.1}", per_second.max(0.0));
    }
    thousands(rounded(per_second))
}

/// A time of so many microseconds, with the unit that suits it: `81.2 us`, `1.24 ms`, `600 s`.
#[must_use]
pub fn duration(us: f64) -> String {
    match us {
        ..999.5 => format!("{} us", significant(us)),
        ..999_500.0 => format!("{} ms", significant(us / 1e3)),
        _ => format!("{} s", significant(us / 1e6)),
    }
}

/// So many bytes: `512 B`, `1.50 KiB`, `3.20 GiB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    if n < 1024 {
        return format!("{} B", thousands(n));
    }
    let mut value = n as f64;
    let mut name = "B";
    for unit in ["KiB", "MiB", "GiB", "TiB"] {
        if value >= 1023.5 {
            value /= 1024.0;
            name = unit;
        }
    }
    format!("{} {name}", significant(value))
}

/// A share of one as a percentage: `93 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Three significant digits without an exponent; whole from 100 up.
fn significant(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => thousands(rounded(value)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and a count beyond u64 is none")]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (n, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (123_456, "123,456"), (9_999_999, "9,999,999")]
        {
            assert_eq!(thousands(n), text);
        }
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn units_suit_the_value() {
        let times = [0.0, 0.513, 8.125, 9.996, 99.96, 812.0, 999.6, 12_345.0, 999_600.0, 6e8];
        let texts = [
            "0 us", "0.51 us", "8.12 us", "10.0 us", "100 us", "812 us", "1.00 ms", "12.3 ms", "1.00 s",
            "600 s",
        ];
        assert_eq!(times.map(duration), texts);
        let sizes = [0, 1_023, 1_024, 1_536, 1_048_000, 1 << 20, 5 << 40];
        let texts = ["0 B", "1,023 B", "1.00 KiB", "1.50 KiB", "1,023 KiB", "1.00 MiB", "5.00 TiB"];
        assert_eq!(sizes.map(bytes), texts);
    }

    #[test]
    fn rates_are_whole_where_a_decimal_says_nothing() {
        assert_eq!([0.0, 3.25, 99.96, 12_345.6].map(rate), ["0.0", "3.2", "100", "12,346"]);
        assert_eq!(percent(0.934), "93 %");
    }
}
