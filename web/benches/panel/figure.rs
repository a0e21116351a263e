//! What is printed, and kept in `target/bench/<part>.json`, one JSON object a line.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

/// A figure beside its floor.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// `<part>.<what>`.
    pub(crate) name: String,
    /// What the panel does.
    pub(crate) value: f64,
    /// Of value and floor: `requests/s`, `ms`, `bytes`.
    pub(crate) unit: &'static str,
    /// What the bare server does; absent where there is none.
    pub(crate) floor: Option<f64>,
    /// Value by floor.
    pub(crate) ratio: Option<f64>,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// At least this part of the floor.
    RatioAtLeast(f64),
    /// At most this many times the floor.
    RatioAtMost(f64),
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
    /// Nothing is aimed at: the figure is of a size other than the usual one.
    None,
}

impl Figure {
    pub(crate) fn new(name: &str, value: f64, unit: &'static str, floor: Option<f64>) -> Self {
        Self { name: name.to_owned(), value, unit, floor, ratio: floor.map(|floor| value / floor) }
    }
}

impl Aim {
    fn is_met(self, figure: &Figure) -> bool {
        match self {
            Self::RatioAtLeast(least) => figure.ratio.is_some_and(|ratio| ratio >= least),
            Self::RatioAtMost(most) => figure.ratio.is_some_and(|ratio| ratio <= most),
            Self::AtLeast(least) => figure.value >= least,
            Self::AtMost(most) => figure.value <= most,
            Self::None => true,
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::RatioAtLeast(least) => format!("at least {least} of the floor"),
            Self::RatioAtMost(most) => format!("at most {most} times the floor"),
            Self::AtLeast(least) => format!("at least {least}"),
            Self::AtMost(most) => format!("at most {most}"),
            Self::None => String::new(),
        }
    }
}

/// Prints the figures of a part and keeps them. A missed aim is told, not punished: the machine may be busy.
pub(crate) fn report(part: &str, figures: &[(Figure, Aim)]) -> anyhow::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&directory)?;
    let mut file = fs::File::create(directory.join(format!("{part}.json")))?;
    for (figure, aim) in figures {
        let line = serde_json::to_string(figure)?;
        writeln!(file, "{line}")?;
        println!("{line}");
        if !aim.is_met(figure) {
            println!("missed: {} should be {}", figure.name, aim.sentence());
        }
    }
    Ok(())
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
