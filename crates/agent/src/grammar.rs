//! The command line as clap knows it, from the tables of options and commands.

use clap::builder::{OsStringValueParser, PossibleValue};
use clap::{Arg, ArgAction, Command, ValueHint};
use flb_cli::offer;
use flb_config::Role;
use flb_pipeline::core_properties;
use flb_plugin::{Registry, Spec};

use crate::commands::{commands, words};
use crate::options::{Handle, OPTIONS, Offer, Operand, Row};

/// What does something: for help, completions and the manual page.
pub(crate) fn offered(registry: &Registry) -> Command {
    let rows = OPTIONS.iter().filter(|row| !matches!(row.handle, Handle::NotYet(_)));
    program(&rows.map(|row| argument(row, registry)).collect::<Vec<_>>())
}

/// Everything that is known, with what is refused under a heading of its own.
pub(crate) fn all(registry: &Registry) -> Command {
    program(&OPTIONS.iter().map(|row| argument(row, registry)).collect::<Vec<_>>())
}

/// What the words are read by: all options. Those that end the reading take the words behind them, whatever these are, and
/// what is refused is so with a value and without.
pub(crate) fn reader(registry: &Registry) -> Command {
    program(&reading(registry))
}

/// The same without commands.
pub(crate) fn options(registry: &Registry) -> Command {
    options_of(&reading(registry))
}

fn reading(registry: &Registry) -> Vec<Arg> {
    let option = |row: &Row| match row.handle {
        Handle::Show(_) => argument(row, registry).num_args(0..).allow_hyphen_values(true),
        Handle::NotYet(_) => argument(row, registry).num_args(0..=1).default_missing_value(""),
        _ => argument(row, registry),
    };
    OPTIONS.iter().map(option).collect()
}

fn program(options: &[Arg]) -> Command {
    let with_options = |command: Command| match command.get_name() {
        "config" => command.args(options),
        _ => command,
    };
    options_of(options)
        .about("Runs a log pipeline with WebAssembly filters, configured like Fluent Bit.")
        .override_usage("flb-agent [OPTION]..\n       flb-agent COMMAND ..")
        .subcommand_help_heading("Commands")
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
        .subcommands(commands().map(with_options))
}

fn options_of(options: &[Arg]) -> Command {
    Command::new("flb-agent")
        .disable_help_flag(true)
        .infer_long_args(true)
        .args(options)
        .arg(words("WORD"))
}

/// An option. It may be given again and again; one without a value has an empty one each time.
fn argument(row: &Row, registry: &Registry) -> Arg {
    let argument = Arg::new(row.id())
        .long(row.id())
        .visible_aliases(row.longs.iter().skip(1).copied())
        .aliases(abbreviations(row))
        .help(row.about)
        .help_heading(row.heading)
        .action(ArgAction::Append);
    let argument = match row.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match row.operand() {
        Some(operand) => taken(argument, operand, registry),
        None => {
            argument.num_args(0).default_missing_value("").value_parser(OsStringValueParser::new())
        }
    }
}

/// An option that takes a value, which may begin with `-`.
fn taken(argument: Arg, operand: Operand, registry: &Registry) -> Arg {
    let argument = argument
        .value_name(operand.name)
        .num_args(1)
        .allow_hyphen_values(true)
        .hide_possible_values(true);
    let text = OsStringValueParser::new();
    match operand.offer {
        Offer::Nothing => argument.value_parser(text).value_hint(ValueHint::Other),
        Offer::Files => argument.value_parser(text).value_hint(ValueHint::FilePath),
        Offer::Folders => argument.value_parser(text).value_hint(ValueHint::DirPath),
        Offer::Words(words) => argument.value_parser(offer(text, words.iter().copied())),
        Offer::Plugins(role) => argument.value_parser(offer(text, plugins(registry, role))),
        Offer::Properties => argument.value_parser(offer(text, properties(registry))),
    }
}

/// What of our own options' names must stay an abbreviation of this one, as it is where they are not.
fn abbreviations(row: &Row) -> Vec<&'static str> {
    let ours = OPTIONS.iter().filter(|row| row.is_ours).flat_map(|row| row.longs);
    let beginnings = ours.flat_map(|name| (1..name.len()).filter_map(|length| name.get(..length)));
    let theirs = || {
        OPTIONS
            .iter()
            .filter(|row| !row.is_ours)
            .flat_map(|row| row.longs.iter().map(move |name| (row, *name)))
    };
    let is_only = |beginning: &&str| {
        let mut begun = theirs().filter(|(_, name)| name.starts_with(beginning));
        begun.by_ref().next().is_some_and(|(first, _)| std::ptr::eq(first, row))
            && begun.all(|(other, _)| std::ptr::eq(other, row))
    };
    let is_name = |beginning: &&str| theirs().any(|(_, name)| name == *beginning);
    let mut found: Vec<&str> =
        beginnings.filter(|beginning| is_only(beginning) && !is_name(beginning)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn plugins(registry: &Registry, role: Role) -> Vec<PossibleValue> {
    fn names<T: ?Sized>(specs: &'static [Spec<T>]) -> Vec<PossibleValue> {
        specs.iter().map(|spec| PossibleValue::new(spec.name).help(spec.about)).collect()
    }
    match role {
        Role::Input => names(registry.inputs),
        Role::Filter | Role::Processor => names(registry.filters),
        Role::Output => names(registry.outputs),
    }
}

/// `name=` for every property of a plugin.
fn properties(registry: &Registry) -> Vec<String> {
    fn names<T: ?Sized>(specs: &'static [Spec<T>]) -> impl Iterator<Item = &'static str> {
        specs.iter().flat_map(|spec| spec.options.names())
    }
    let own = names(registry.inputs).chain(names(registry.filters)).chain(names(registry.outputs));
    let roles = [Role::Input, Role::Filter, Role::Output];
    let core = roles.into_iter().flat_map(|role| core_properties(role).rows());
    let core = core.filter(|row| !row.about.is_empty()).map(|row| row.name);
    // A name that ends with a star stands for all that begin so.
    let whole = own.chain(core).filter(|name| !name.ends_with('*'));
    let mut names: Vec<String> = whole.map(|name| format!("{}=", name.to_lowercase())).collect();
    names.sort_unstable();
    names.dedup();
    names
}
