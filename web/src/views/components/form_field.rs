//! Form fields: label, control, unit, error and help, tied together for screen readers. Values are kept.

use maud::{Markup, Render, html};

use super::icon::Icon;

/// What is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Text,
    Password,
    Number,
    Area(u8),
}

/// A labelled field.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    name: &'a str,
    label: &'a str,
    control: Control,
    value: &'a str,
    help: Option<&'a str>,
    placeholder: &'a str,
    unit: Option<&'a str>,
    error: Option<&'a str>,
    autocomplete: &'a str,
    required: bool,
    optional: bool,
    autofocus: bool,
    mono: bool,
    large: bool,
}

impl<'a> Field<'a> {
    const fn new(name: &'a str, label: &'a str, control: Control) -> Self {
        Self {
            name,
            label,
            control,
            value: "",
            help: None,
            placeholder: "",
            unit: None,
            error: None,
            autocomplete: "off",
            required: false,
            optional: false,
            autofocus: false,
            mono: false,
            large: false,
        }
    }

    /// A line of text.
    #[must_use]
    pub const fn text(name: &'a str, label: &'a str) -> Self {
        Self::new(name, label, Control::Text)
    }

    /// A password.
    #[must_use]
    pub const fn password(name: &'a str, label: &'a str) -> Self {
        Self::new(name, label, Control::Password)
    }

    /// A whole number.
    #[must_use]
    pub const fn number(name: &'a str, label: &'a str) -> Self {
        Self::new(name, label, Control::Number)
    }

    /// Several lines of text.
    #[must_use]
    pub const fn area(name: &'a str, label: &'a str, rows: u8) -> Self {
        Self::new(name, label, Control::Area(rows))
    }

    /// The value to show. Passwords are never shown again.
    #[must_use]
    pub const fn value(mut self, value: &'a str) -> Self {
        self.value = value;
        self
    }

    /// A sentence below.
    #[must_use]
    pub const fn help(mut self, help: &'a str) -> Self {
        self.help = Some(help);
        self
    }

    /// What is true while it is empty, shown in its place.
    #[must_use]
    pub const fn placeholder(mut self, placeholder: &'a str) -> Self {
        self.placeholder = placeholder;
        self
    }

    /// The unit beside.
    #[must_use]
    pub const fn unit(mut self, unit: &'a str) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Why it was refused.
    #[must_use]
    pub const fn error(mut self, error: Option<&'a str>) -> Self {
        self.error = error;
        self
    }

    /// What a password manager may fill in.
    #[must_use]
    pub const fn autocomplete(mut self, autocomplete: &'a str) -> Self {
        self.autocomplete = autocomplete;
        self
    }

    /// It has to be filled in.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// It may stay empty, and the label says so.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The cursor starts here.
    #[must_use]
    pub const fn autofocus(mut self) -> Self {
        self.autofocus = true;
        self
    }

    /// The cursor starts here if `here` is true.
    #[must_use]
    pub const fn focus_if(mut self, here: bool) -> Self {
        self.autofocus = here;
        self
    }

    /// Typed in the face of code.
    #[must_use]
    pub const fn mono(mut self) -> Self {
        self.mono = true;
        self
    }

    /// Larger, on pages with one form.
    #[must_use]
    pub const fn large(mut self) -> Self {
        self.large = true;
        self
    }

    fn described_by(&self) -> Option<String> {
        described_by(self.name, self.error, self.help)
    }

    fn control(&self) -> Markup {
        let invalid = self.error.map(|_| "true");
        let class = format!("input{}{}", if self.mono { " mono" } else { "" }, if self.large { " is-lg" } else { "" });
        let kind = if self.control == Control::Password { "password" } else { "text" };
        let mode = (self.control == Control::Number).then_some("numeric");
        html! {
            @if let Control::Area(rows) = self.control {
                textarea class=(class) #(self.name) name=(self.name) rows=(rows) required[self.required] spellcheck="false"
                    aria-invalid=[invalid] aria-describedby=[self.described_by()] { (self.value) }
            } @else {
                input class=(class) #(self.name) name=(self.name) type=(kind) value=[Some(self.value).filter(|value| !value.is_empty())]
                    placeholder=[Some(self.placeholder).filter(|text| !text.is_empty())] inputmode=[mode] autocomplete=(self.autocomplete) required[self.required] autofocus[self.autofocus]
                    spellcheck="false" autocapitalize="none" aria-invalid=[invalid] aria-describedby=[self.described_by()];
            }
        }
    }
}

impl Render for Field<'_> {
    fn render(&self) -> Markup {
        html! {
            div.field {
                label for=(self.name) { (self.label) @if self.optional { " " small { "optional" } } }
                @if let Some(unit) = self.unit { div class="group is-narrow" { (self.control()) span.unit { (unit) } } }
                @else { (self.control()) }
                (messages(self.name, self.error, self.help))
            }
        }
    }
}

/// A switch with a line of explanation. It sends `on`, or nothing.
#[must_use]
pub fn switch(name: &str, label: &str, note: &str, on: bool) -> Markup {
    html! {
        label.choice {
            input.switch type="checkbox" role="switch" name=(name) checked[on];
            span { (label) small { (note) } }
        }
    }
}

/// Several controls under one heading.
#[must_use]
pub fn group(name: &str, legend: &str, error: Option<&str>, help: &str, controls: &Markup) -> Markup {
    html! {
        fieldset.field aria-describedby=[described_by(name, error, Some(help))] {
            legend.label { (legend) }
            (controls)
            (messages(name, error, Some(help)))
        }
    }
}

pub(super) fn described_by(name: &str, error: Option<&str>, help: Option<&str>) -> Option<String> {
    match (error, help) {
        (Some(_), Some(_)) => Some(format!("{name}-error {name}-help")),
        (Some(_), None) => Some(format!("{name}-error")),
        (None, Some(_)) => Some(format!("{name}-help")),
        (None, None) => None,
    }
}

pub(super) fn messages(name: &str, error: Option<&str>, help: Option<&str>) -> Markup {
    html! {
        @if let Some(error) = error { p.error id={ (name) "-error" } { (Icon::CircleAlert) span { (error) } } }
        @if let Some(help) = help { p.help id={ (name) "-help" } { (help) } }
    }
}
