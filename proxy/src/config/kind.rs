//! What a value may be: `Kind`, a description for people together with the reading of it.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::DeValue;

/// What a value may be.
pub(super) struct Kind<'k, T> {
    /// Completes "must be ...".
    pub(super) expects: String,
    read: Box<Read<'k, T>>,
}

type Read<'k, T> = dyn Fn(&DeValue<'_>) -> Result<T, Mismatch> + 'k;

/// Why a value is not of a [`Kind`].
pub(super) struct Mismatch {
    /// Completes "`key` is ...".
    pub(super) is: String,
    /// A guess at what was meant.
    pub(super) hint: Option<String>,
}

impl From<String> for Mismatch {
    fn from(is: String) -> Self {
        Self { is, hint: None }
    }
}

impl<'k, T> Kind<'k, T> {
    /// Reads `value`.
    pub(super) fn read(&self, value: &DeValue<'_>) -> Result<T, Mismatch> {
        (self.read)(value)
    }

    /// The same values, as something else.
    pub(super) fn map<U>(self, into: impl Fn(T) -> U + 'k) -> Kind<'k, U>
    where
        T: 'k,
    {
        let Self { expects, read } = self;
        Kind { expects, read: Box::new(move |value| read(value).map(&into)) }
    }
}

/// A number within `bounds`.
pub(super) fn number<T>(bounds: RangeInclusive<T>) -> Kind<'static, T>
where
    T: Copy + Display + PartialOrd + TryFrom<i128> + 'static,
{
    let expects = format!("a number from {} to {}", bounds.start(), bounds.end());
    let read = move |value: &DeValue<'_>| {
        let number = value.as_integer().ok_or_else(|| type_of(value))?;
        let exact = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let within = exact.and_then(|n| T::try_from(n).ok()).filter(|n| bounds.contains(n));
        within.ok_or_else(|| number.to_string().into())
    };
    Kind { expects, read: Box::new(read) }
}

/// `true` or `false`.
pub(super) fn boolean() -> Kind<'static, bool> {
    let read = |value: &DeValue<'_>| value.as_bool().ok_or_else(|| type_of(value));
    Kind { expects: "true or false".to_owned(), read: Box::new(read) }
}

/// One of a few words.
pub(super) fn choice<T: Copy + 'static>(words: impl Into<Vec<(&'static str, T)>>) -> Kind<'static, T> {
    let words = words.into();
    let names: Vec<String> = words.iter().map(|(name, _)| format!("{name:?}")).collect();
    let expects = match names.split_last() {
        Some((last, [_, ..])) => format!("{} or {last}", names[..names.len() - 1].join(", ")),
        _ => names.concat(),
    };
    let read = move |value: &DeValue<'_>| {
        let text = value.as_str().ok_or_else(|| type_of(value))?;
        let found = words.iter().find(|(name, _)| *name == text).map(|&(_, meaning)| meaning);
        found.ok_or_else(|| {
            let near = nearest(text, words.iter().map(|&(name, _)| name));
            Mismatch { is: quoted(text), hint: near.map(|name| format!("did you mean {name:?}?")) }
        })
    };
    Kind { expects, read: Box::new(read) }
}

/// A string that `parse` understands; the error of `parse` says what is wrong with it, perhaps nothing
/// more than that it is not what is expected.
pub(super) fn text<'k, T>(
    expects: impl Into<String>,
    parse: impl Fn(&str) -> Result<T, &'static str> + 'k,
) -> Kind<'k, T> {
    let read = move |value: &DeValue<'_>| {
        let text = value.as_str().ok_or_else(|| type_of(value))?;
        parse(text).map_err(|why| match why {
            "" => quoted(text).into(),
            why => format!("{}: {why}", quoted(text)).into(),
        })
    };
    Kind { expects: expects.into(), read: Box::new(read) }
}

/// Either what the word `word` stands for, or a value of `kind`.
pub(super) fn word_or<'k, T: Clone + 'k>(word: &'static str, meaning: T, kind: Kind<'k, T>) -> Kind<'k, T> {
    let expects = format!("{word:?} or {}", kind.expects);
    let read = move |value: &DeValue<'_>| match value.as_str() {
        None => kind.read(value),
        Some(text) if text == word => Ok(meaning.clone()),
        // That it is a string is not what is wrong with it.
        Some(text) => kind.read(value).map_err(|mismatch| Mismatch {
            is: if mismatch.is == type_of(value).is { quoted(text) } else { mismatch.is },
            hint: nearest(text, [word].into_iter()).map(|word| format!("did you mean {word:?}?")),
        }),
    };
    Kind { expects, read: Box::new(read) }
}

/// The name nearest to `text` by the number of letters changed, added, removed or swapped; `None` when
/// none is near enough to be meant.
pub(super) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(text, name);
    let near = names.min_by_key(distance)?;
    (distance(&near) <= near.len() / 4).then_some(near)
}

/// A string of the file as messages show it: quoted, shortened.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    format!("{:?}...", text.chars().take(SHOWN).collect::<String>())
}

/// The mismatch of a value of another type.
pub(super) fn type_of(value: &DeValue<'_>) -> Mismatch {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}").into()
}
