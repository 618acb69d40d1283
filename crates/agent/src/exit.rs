//! Exit codes. Scripts and service managers rely on them, so they are the agent's interface.

/// Stopped gracefully, or did what was asked. With `Propagate_Exit_Code`, the input `exec` puts its command's code in the place of
/// this one.
pub(crate) const DONE: u8 = 0;
/// The command line or the configuration is wrong, or a second signal cut the agent off while it drained.
pub(crate) const CONFIG: u8 = 1;
/// The configuration is understood, but the agent cannot start with it.
pub(crate) const START: u8 = 255;

/// The codes as the help text tells them.
pub(crate) const ABOUT: [(u8, &str); 3] = [
    (DONE, "stopped gracefully, or did what was asked"),
    (CONFIG, "wrong command line or configuration, or cut off by a second signal"),
    (START, "cannot start: a plugin refuses what it is given"),
];
