//! Arguments that are refused.

use std::{env, process};

use vcq::{error::ExitCode, printable};

use crate::output::tell;

/// Variables that stand for an argument; their values are told no more than those of others.
const OF_ENVIRONMENT: [(&str, &str); 3] =
    [("VCQ_LOG", "--log"), ("VCQ_LOG_FORMAT", "--log-format"), ("VCQ_CONFIG", "--config")];

/// Tells what is wrong with the arguments, which may hold anything. Help is told, too, by this way.
pub(crate) fn refuse(refused: &clap::Error) -> process::ExitCode {
    let text = refused.render().to_string();
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let of_environment = OF_ENVIRONMENT.into_iter().find(|(variable, option)| {
        let is_argument = env::args_os().any(|argument| argument.to_string_lossy().starts_with(option));
        text.contains(&format!("'{option} <")) && !is_argument && env::var_os(variable).is_some()
    });
    if let Some((variable, _)) = of_environment {
        tell(&format!("vcq: the value of `{variable}` in the environment is none that it takes; see `vcq --help`"));
    } else if env::args_os().any(|argument| argument.to_string_lossy().contains(char::is_control)) {
        tell(
            "vcq: an argument holds line ends or other control characters, and is none that vcq takes; see `vcq --help`",
        );
    } else if printable::lines(&text) == text {
        refused.exit();
    } else {
        tell(text.trim_end());
    }
    ExitCode::Usage.into()
}

/// Whether `--config` stands on the command line; the environment may have it for other commands.
pub(crate) fn is_config_flag_given() -> bool {
    env::args_os().any(|argument| argument.to_string_lossy().starts_with("--config"))
}
