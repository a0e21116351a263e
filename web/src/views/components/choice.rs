//! A choice among options: all visible, or a list to open.

use maud::{Markup, Render, html};

use super::form_field::{described_by, messages};

/// One option of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// Its words.
    pub label: String,
    /// A line below its words.
    pub note: Option<String>,
}

impl Choice {
    /// An option.
    #[must_use]
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), note: None }
    }

    /// The option with a line below.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// How a choice looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Small, beside each other.
    Chips,
    /// Cards with a line of explanation.
    Cards,
    /// A list that opens.
    List,
    /// A list that opens; where there are many, a field that finds them as one types. What is sent is what is typed.
    Find,
}

/// More options than this are found by typing.
const FEW: usize = 12;

/// A choice of one.
#[derive(Debug, Clone, Copy)]
pub struct ChoiceField<'a> {
    /// The field's name.
    pub name: &'a str,
    /// Its label.
    pub label: &'a str,
    /// How it looks.
    pub look: Look,
    /// The value chosen; the first option of a list if none is.
    pub chosen: &'a str,
    /// The options.
    pub choices: &'a [Choice],
    /// A sentence below.
    pub help: Option<&'a str>,
    /// Why it was refused.
    pub error: Option<&'a str>,
}

impl Render for ChoiceField<'_> {
    fn render(&self) -> Markup {
        match self.look {
            Look::Chips => self.radio("radio-cards is-chips"),
            Look::Cards => self.radio("radio-cards"),
            Look::List => self.list(),
            Look::Find if self.choices.len() <= FEW => self.list(),
            Look::Find => self.field(),
        }
    }
}

impl ChoiceField<'_> {
    fn radio(&self, class: &str) -> Markup {
        html! {
            fieldset.field aria-describedby=[described_by(self.name, self.error, self.help)] {
                legend.label { (self.label) }
                div class=(class) {
                    @for choice in self.choices {
                        label.choice {
                            input type="radio" name=(self.name) value=(choice.value) checked[choice.value == self.chosen] required;
                            span { (choice.label) @if let Some(note) = &choice.note { small { (note) } } }
                        }
                    }
                }
                (messages(self.name, self.error, self.help))
            }
        }
    }

    fn field(&self) -> Markup {
        let choices = format!("{}-choices", self.name);
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                input.input #(self.name) name=(self.name) type="text" list=(choices) value=[Some(self.chosen).filter(|value| !value.is_empty())]
                    placeholder="Type to search" autocomplete="off" required spellcheck="false" autocapitalize="none"
                    aria-invalid=[self.error.map(|_| "true")] aria-describedby=[described_by(self.name, self.error, self.help)];
                datalist #(choices) {
                    @for choice in self.choices {
                        option value=(choice.value) { (beside(choice)) }
                    }
                }
                (messages(self.name, self.error, self.help))
            }
        }
    }

    fn list(&self) -> Markup {
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                select.input #(self.name) name=(self.name) aria-invalid=[self.error.map(|_| "true")]
                    aria-describedby=[described_by(self.name, self.error, self.help)] {
                    @for choice in self.choices {
                        option value=(choice.value) selected[choice.value == self.chosen] {
                            (choice.label) @if let Some(note) = &choice.note { " (" (note) ")" }
                        }
                    }
                }
                (messages(self.name, self.error, self.help))
            }
        }
    }
}

/// What a suggestion says beside its value.
fn beside(choice: &Choice) -> String {
    let words = std::iter::once(&choice.label).chain(&choice.note).filter(|words| **words != choice.value);
    words.map(String::as_str).collect::<Vec<_>>().join(", ")
}
