//! The one error type: everything that users, files and machines can cause.

use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong outside the program's own code. Each message names the file, key or value and says how to go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wrong option or argument. Go on: correct the command line (`--help` shows what each option takes).
    #[error("{0}")]
    Usage(String),

    /// A recipe that cannot be trained. Go on: edit the named key of the named file.
    #[error("recipe {file}: {key}: {message}")]
    Recipe {
        /// File or built-in recipe name.
        file: String,
        /// Dotted path of the key, such as `generator.layers[3].filters`.
        key: String,
        /// What is wrong and what the key may be.
        message: String,
    },

    /// Reading or writing a file failed. Go on: the operating system's reason is in the message.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done, such as `cannot read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// A file that was read but holds something else than it should. Go on: replace or remove the named file.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },

    /// No adapter fits, a device was lost, memory ran out or a buffer is too large. Go on: as the message says
    /// (a smaller batch, another `--device`).
    #[error("{0}")]
    Gpu(String),

    /// Shapes, sizes or values that an operation cannot take, where data decides them.
    #[error("{0}")]
    Invalid(String),

    /// Training cannot go on (a loss that is not a number, a run that is in use). Go on: as the message says.
    #[error("{0}")]
    Train(String),
}

impl Error {
    /// Wraps an operating-system error with what was being done to which path.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Error {
        Error::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// A file whose content is not what it should be.
    pub fn file(path: impl AsRef<Path>, message: impl Into<String>) -> Error {
        Error::File { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// The process exit code: 2 for a wrong command line or recipe, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Recipe { .. } => 2,
            _ => 1,
        }
    }
}
