//! What a password must be like. NIST SP 800-63B-4 and ASVS 5: long, not common, not made of what everybody knows about
//! the person; no rule about kinds of characters, no expiry.

/// The least number of characters of the only factor (SP 800-63B-4).
pub const LEAST_CHARACTERS: usize = 15;
/// The most bytes: more than ASVS's 64 characters, and still a bound on what is hashed.
pub const MOST_BYTES: usize = 256;
/// What must be left of a password without the words everybody knows.
const LEAST_OWN: usize = 8;

/// Why a password was refused, in words for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too short.
    #[error("Use at least {LEAST_CHARACTERS} characters. A few words in a row are good.")]
    Short,
    /// Too long.
    #[error("Use at most {MOST_BYTES} bytes.")]
    Long,
    /// Among the first that are guessed.
    #[error("This password is among the first that are tried. Choose another.")]
    Common,
    /// Made of names around it.
    #[error("This password is made of your name, the panel's name or the like. Choose another.")]
    Context,
}

/// Long passwords that appear in every list of stolen ones, or are walks over the keyboard. Matched without case, spaces
/// and punctuation.
const COMMON: &[&str] = &[
    "passwordpassword",
    "passwordpasswordpassword",
    "password123456789",
    "passwort123456789",
    "password1234567890",
    "mypasswordispassword",
    "thisismypassword",
    "iloveyouiloveyou",
    "letmeinletmeinletmein",
    "letmeinletmein",
    "changemechangeme",
    "administrator123",
    "administratoradministrator",
    "adminadminadmin",
    "qwertyuiopasdfgh",
    "qwertyuiopasdfghjkl",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjkl",
    "qwertyuiop123456",
    "qwertyuiop1234567890",
    "1234567890qwertyuiop",
    "1qaz2wsx3edc4rfv",
    "1qaz2wsx3edc4rfv5tgb",
    "qazwsxedcrfvtgb",
    "zaq12wsxcde34rfv",
    "asdfghjklasdfghjkl",
    "abcdefghijklmnop",
    "abcdefghijklmnopqrstuvwxyz",
    "correcthorsebatterystaple",
    "welcometothejungle",
    "monkeymonkeymonkey",
    "dragondragondragon",
    "supersecretpassword",
    "trustno1trustno1",
    "footballfootball",
    "startrekstartrek",
    "whateverwhatever",
    "ichliebedichichliebedich",
];

/// Checks a password against the rules. `context` are words everybody knows: login, names, host names, domains.
///
/// # Errors
/// The first rule it breaks.
pub fn check(password: &str, context: &[&str]) -> Result<(), Refused> {
    if password.len() > MOST_BYTES {
        return Err(Refused::Long);
    }
    if password.chars().count() < LEAST_CHARACTERS {
        return Err(Refused::Short);
    }
    let plain: String = password.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    if COMMON.contains(&plain.as_str()) || repeats(password) || runs(&plain) {
        return Err(Refused::Common);
    }
    let mut own = plain;
    let mut words: Vec<String> = context.iter().flat_map(|text| words_of(text)).chain(["gantry".to_owned()]).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in words {
        own = own.replace(&word, "");
    }
    let own = own.chars().filter(|c| !c.is_ascii_digit()).count();
    let plain_had_letters = password.chars().any(char::is_alphabetic);
    if plain_had_letters && own < LEAST_OWN && !mostly_random(password) { Err(Refused::Context) } else { Ok(()) }
}

fn words_of(text: &str) -> Vec<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= 3).map(str::to_owned).collect()
}

/// A password with few letters of its own may still be long and random: many different digits and signs.
fn mostly_random(password: &str) -> bool {
    let mut signs: Vec<char> = password.chars().filter(|c| !c.is_alphabetic()).collect();
    signs.sort_unstable();
    signs.dedup();
    signs.len() >= LEAST_OWN
}

/// One to four characters over and over.
fn repeats(password: &str) -> bool {
    let chars: Vec<char> = password.chars().collect();
    (1..=4).any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(one, next)| one == next))
}

/// One row upwards or downwards: 123456789012345.
fn runs(plain: &str) -> bool {
    let codes: Vec<u32> = plain.chars().map(u32::from).collect();
    let steps =
        codes.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1 || (pair[0] == u32::from('9') && pair[1] == u32::from('0'))).count();
    codes.len() < 2 || steps >= codes.len() - 2
}

#[cfg(test)]
mod tests {
    use super::{Refused, check};

    #[test]
    fn fifteen_characters_of_ones_own_are_enough_whatever_they_are() {
        for good in ["tuesday marmalade ocean", "ключ от старого дома", "k3Xp0-qLz91-mmTr4-8", "correct-zebra-lamp"] {
            assert_eq!(check(good, &["maria", "panel.example"]), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn short_long_common_and_repeated_passwords_are_refused() {
        assert_eq!(check("fourteen chars", &[]), Err(Refused::Short));
        assert_eq!(check(&"aé".repeat(90), &[]), Err(Refused::Long));
        for common in ["PasswordPassword", "correct horse battery staple", "aaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabc", "123456789012345678"]
        {
            assert_eq!(check(common, &[]), Err(Refused::Common), "{common:?}");
        }
    }

    #[test]
    fn names_around_the_person_do_not_make_a_password() {
        assert_eq!(check("maria.schmidt.2024", &["maria", "Maria Schmidt"]), Err(Refused::Context));
        assert_eq!(check("Gantry panel example 1", &["panel.example"]), Err(Refused::Context));
        assert_eq!(check("maria likes tall ships", &["maria"]), Ok(()));
    }
}
