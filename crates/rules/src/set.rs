//! All rules: those of the program, and those of the user.

use crate::build::files;
use crate::facts::Subject;
use crate::rule::{Rule, RuleError};
use model::Mark;
use std::collections::HashMap;
use std::path::PathBuf;

/// Rules without double numbers or names, ordered by number.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

impl RuleSet {
    /// Reads the rules of the program (file name and text) and all `*.yaml` files in folders of the user.
    ///
    /// # Errors
    /// Every file that is wrong, and every number or name that is used twice.
    pub fn load(builtin: &[(&str, &str)], folders: &[PathBuf]) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let mut rules = Vec::new();
        let mut take = |result: Result<Rule, RuleError>| match result {
            Ok(rule) => rules.push(rule),
            Err(error) => errors.push(error),
        };
        for (file, text) in builtin {
            take(Rule::parse(file, text));
        }
        for folder in folders {
            let unreadable = |file: String, message: String| RuleError {
                file,
                mark: Mark::NONE,
                message,
            };
            match files(folder) {
                Ok(paths) if paths.is_empty() => take(Err(unreadable(
                    folder.display().to_string(),
                    "there is no `*.yaml` file in this folder".to_owned(),
                ))),
                Ok(paths) => {
                    for path in paths {
                        let file = path.display().to_string();
                        take(
                            std::fs::read_to_string(&path)
                                .map_err(|e| unreadable(file.clone(), e.to_string()))
                                .and_then(|text| Rule::parse(&file, &text)),
                        );
                    }
                }
                Err(error) => take(Err(unreadable(folder.display().to_string(), error.message))),
            }
        }
        errors.extend(duplicates(&rules));
        if !errors.is_empty() {
            return Err(errors);
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { rules })
    }

    /// All rules, ordered by number.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules about a subject.
    pub fn about(&self, subject: Subject) -> impl Iterator<Item = (usize, &Rule)> {
        self.rules
            .iter()
            .enumerate()
            .filter(move |(_, rule)| rule.applies_to == subject)
    }

    /// The rule of that number or name.
    #[must_use]
    pub fn get(&self, id_or_name: &str) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|rule| rule.id.eq_ignore_ascii_case(id_or_name) || rule.name == id_or_name)
    }
}

fn duplicates(rules: &[Rule]) -> Vec<RuleError> {
    let mut seen: HashMap<&str, &Rule> = HashMap::new();
    let mut errors = Vec::new();
    for rule in rules {
        for word in [&rule.id, &rule.name] {
            if let Some(first) = seen.insert(word, rule) {
                errors.push(RuleError {
                    file: rule.file.clone(),
                    mark: Mark { line: 1, column: 1 },
                    message: format!("`{word}` is taken by {}", first.file),
                });
            }
        }
    }
    errors
}
