//! Which commands the bridge passes on. Everybody who may publish to its subjects can send them, so without flags only
//! those that read.

use autotrainer_api::{Command, ProtocolLevel};

use crate::device::asking::Asked;
use crate::failure::Failure;

/// Commands that change nothing.
const READING: [Command; 4] = [
    Command::None,
    Command::GetConfiguration,
    Command::GetStatus,
    Command::GetAnimals,
];

/// What may be asked.
#[derive(Debug, Clone)]
pub(super) enum Policy {
    /// Nothing: there is no service for commands.
    Nothing,
    /// These; which custom commands, and which numbers that are no command's.
    Listed {
        commands: Vec<Command>,
        numbers: Vec<i64>,
        customs: Vec<i64>,
    },
    Everything,
}

impl Policy {
    /// What reads, and these: a command's name, a number, or `custom:N`.
    pub(super) fn listed(words: &[String]) -> Result<Self, Failure> {
        let (mut commands, mut numbers, mut customs) = (READING.to_vec(), Vec::new(), Vec::new());
        for word in words {
            if let Some(custom) = word.strip_prefix("custom:") {
                customs.push(custom.parse().map_err(|_| {
                    Failure::usage(format!("{word:?} is no custom command such as custom:7"))
                })?);
                continue;
            }
            match word.parse() {
                Ok(number) => numbers.push(number),
                Err(_) => commands.push(command(word)?),
            }
        }
        Ok(Self::Listed {
            commands,
            numbers,
            customs,
        })
    }

    /// A number means what the device's level says.
    pub(super) fn allows(&self, asked: Asked, level: ProtocolLevel) -> bool {
        let Self::Listed {
            commands,
            numbers,
            customs,
        } = self
        else {
            return matches!(self, Self::Everything);
        };
        match asked {
            Asked::Command(command) => commands.contains(&command),
            Asked::Custom(number) => {
                customs.contains(&number) || commands.contains(&Command::UserDefined)
            }
            Asked::Number(number) => {
                let named = Command::from_number(number, level);
                numbers.contains(&number)
                    || named.is_some_and(|command| commands.contains(&command))
            }
        }
    }

    /// The flag by which this is allowed.
    pub(super) fn flag(asked: Asked, level: ProtocolLevel) -> String {
        let word = match asked {
            Asked::Custom(number) => format!("custom:{number}"),
            Asked::Command(_) | Asked::Number(_) => asked.name(level),
        };
        match word.starts_with('-') {
            true => format!("--allow={word}"),
            false => format!("--allow {word}"),
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let Self::Listed {
            commands,
            numbers,
            customs,
        } = self
        else {
            return match self {
                Self::Everything => "all commands".to_owned(),
                Self::Nothing | Self::Listed { .. } => "no commands".to_owned(),
            };
        };
        let named = commands.iter().map(|command| command.name().to_owned());
        let numbered = numbers.iter().map(i64::to_string);
        let custom = customs.iter().map(|number| format!("custom:{number}"));
        let all: Vec<_> = named.chain(numbered).chain(custom).collect();
        all.join(", ")
    }
}

/// A command by its whole name: a start would allow what comes with a later version.
pub(super) fn command(word: &str) -> Result<Command, Failure> {
    let name = word.replace('-', "_");
    let levels = ProtocolLevel::ALL.iter();
    let mut members = levels.flat_map(|level| Command::members(*level));
    members
        .find(|member| member.name.eq_ignore_ascii_case(&name))
        .map(|member| member.member)
        .ok_or_else(|| Failure::usage(format!("no command is called {word:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(words: &[&str], asked: Asked) -> bool {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let policy = Policy::listed(&words).unwrap();
        policy.allows(asked, ProtocolLevel::NEWEST)
    }

    #[test]
    fn only_what_reads_is_allowed_unless_said() {
        let status = Asked::Command(Command::GetStatus);
        let stop = Asked::Command(Command::EmergencyStop);
        assert!(allows(&[], status) && allows(&[], Asked::Number(400)));
        assert!(!allows(&[], stop) && !allows(&[], Asked::Number(200)));
        assert!(!allows(&[], Asked::Number(50)) && !allows(&[], Asked::Number(100)));
        assert!(allows(&["emergency-stop"], stop));
        assert!(allows(&["EMERGENCY_STOP"], Asked::Number(200)));
        assert!(!allows(&["200"], stop) && allows(&["200"], Asked::Number(200)));
        assert!(!Policy::Nothing.allows(status, ProtocolLevel::NEWEST));
        assert!(Policy::Everything.allows(Asked::Custom(1), ProtocolLevel::NEWEST));
    }

    #[test]
    fn the_flag_that_is_told_allows_it() {
        let all = [
            (
                Asked::Command(Command::EmergencyStop),
                "--allow EMERGENCY_STOP",
            ),
            (Asked::Number(200), "--allow EMERGENCY_STOP"),
            (Asked::Number(4711), "--allow 4711"),
            (Asked::Number(-5), "--allow=-5"),
            (Asked::Custom(7), "--allow custom:7"),
            (Asked::Custom(-7), "--allow custom:-7"),
        ];
        for (asked, flag) in all {
            assert_eq!(Policy::flag(asked, ProtocolLevel::NEWEST), flag);
            let word = flag.trim_start_matches("--allow").get(1..).unwrap();
            assert!(!allows(&[], asked) && allows(&[word], asked), "{word}");
        }
    }

    #[test]
    fn commands_of_the_application_are_allowed_one_by_one_or_all() {
        assert!(!allows(&[], Asked::Custom(7)));
        assert!(allows(&["custom:7"], Asked::Custom(7)));
        assert!(!allows(&["custom:7"], Asked::Custom(8)));
        assert!(allows(&["USER_DEFINED"], Asked::Custom(8)));
        for bad in ["GET_", "custom:x", "FLY"] {
            assert!(Policy::listed(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
