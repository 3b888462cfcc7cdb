//! The file of a plan, YAML or JSON, with the place of whatever is wrong with it.

use crate::plan::document::{
    API_VERSION, Check, Gap, KIND, Plan, Proof, State, Staying, Step, Target, Wave, Write,
};
use model::{Mark, Node, yaml};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use thiserror::Error;

/// A plan that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}{}: {message}", place(.mark))]
pub struct PlanFileError {
    /// The file, as it was given.
    pub file: String,
    /// Where in it.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
}

fn place(mark: &Mark) -> String {
    if mark.is_known() {
        format!(":{}:{}", mark.line, mark.column)
    } else {
        String::new()
    }
}

/// What is wrong, and where, before the file is named.
struct Problem {
    mark: Mark,
    message: String,
    advice: String,
}

const ANEW: &str = "make the plan anew with: mesh-migrate plan -o yaml=plan.yaml";

/// Reads a plan from a file, or from standard input for `-`.
///
/// # Errors
/// If the file cannot be read, or is not a plan.
pub fn read(path: &Path) -> Result<Plan, PlanFileError> {
    let file = path.display().to_string();
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| PlanFileError {
        file: file.clone(),
        mark: Mark::NONE,
        message: format!("the plan cannot be read: {error}"),
        advice: "name the file that `mesh-migrate plan -o yaml=FILE` wrote".to_owned(),
    })?;
    parse(&file, &text)
}

/// Reads a plan from a text.
///
/// # Errors
/// If it is not a plan.
pub fn parse(file: &str, text: &str) -> Result<Plan, PlanFileError> {
    let problem = |problem: Problem| PlanFileError {
        file: file.to_owned(),
        mark: problem.mark,
        message: problem.message,
        advice: problem.advice,
    };
    let node = document(text).map_err(problem)?;
    identity(&node).map_err(problem)?;
    let plan = decode(&node).map_err(problem)?;
    sound(&plan, &node).map_err(problem)?;
    Ok(plan)
}

fn document(text: &str) -> Result<Node, Problem> {
    let chunks = yaml::documents(text);
    let wrong = |mark: Mark, message: &str| Problem {
        mark,
        message: message.to_owned(),
        advice: ANEW.to_owned(),
    };
    match chunks.as_slice() {
        [] => Err(wrong(Mark::NONE, "the file is empty")),
        [chunk] => match yaml::parse(*chunk) {
            Ok(Some(node)) => Ok(node),
            Ok(None) => Err(wrong(Mark::NONE, "the file is empty")),
            Err(error) => Err(Problem {
                mark: error.mark,
                message: error.message,
                advice: error.advice,
            }),
        },
        [_, second, ..] => {
            let mark = Mark {
                line: second.first_line,
                column: 1,
            };
            Err(wrong(mark, "a second document begins; a plan is one"))
        }
    }
}

fn identity(node: &Node) -> Result<(), Problem> {
    for (key, wanted) in [("kind", KIND), ("apiVersion", API_VERSION)] {
        let found = node.get(key);
        let text = found.and_then(Node::as_str);
        if text == Some(wanted) {
            continue;
        }
        let mark = found.map_or(node.mark, |found| found.mark);
        let (message, advice) = match text {
            None => (
                format!("this is not a plan: `{key}: {wanted}` is missing"),
                ANEW.to_owned(),
            ),
            Some(other) if key == "apiVersion" && other.starts_with("mesh-migrate.io/") => (
                format!("the plan is of the form `{other}`, which this program does not know"),
                format!("this program reads `{API_VERSION}`: use the one that made the plan, or {ANEW}"),
            ),
            Some(other) => (
                format!("this is not a plan: `{key}` is `{other}`, not `{wanted}`"),
                ANEW.to_owned(),
            ),
        };
        return Err(Problem {
            mark,
            message,
            advice,
        });
    }
    Ok(())
}

fn decode(node: &Node) -> Result<Plan, Problem> {
    let whole = match serde_json::from_value::<Plan>(Json::from(node)) {
        Ok(plan) => return Ok(plan),
        Err(error) => error.to_string(),
    };
    // serde does not say where: the smallest part that cannot be read by itself is the place.
    list::<Gap>(node, "gaps")?;
    list::<Wave>(node, "waves")?;
    list::<Staying>(node, "staying")?;
    for step in node.get("steps").map(Node::items).unwrap_or_default() {
        list::<Check>(step, "requires")?;
        list::<Write>(step, "writes")?;
        list::<Check>(step, "checks")?;
        part::<Proof>(step.get("proof"))?;
        part::<Step>(Some(step))?;
    }
    part::<State>(node.get("state"))?;
    Err(problem(node, &whole))
}

fn list<T: DeserializeOwned>(node: &Node, key: &str) -> Result<(), Problem> {
    let items = node.get(key).map(Node::items).unwrap_or_default();
    items.iter().try_for_each(|item| part::<T>(Some(item)))
}

fn part<T: DeserializeOwned>(node: Option<&Node>) -> Result<(), Problem> {
    let Some(node) = node else { return Ok(()) };
    serde_json::from_value::<T>(Json::from(node))
        .map(drop)
        .map_err(|error| problem(node, &error.to_string()))
}

/// Gives serde's message its place and an advice.
fn problem(node: &Node, message: &str) -> Problem {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let first = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    let entry = node.entries().iter().find(|entry| *entry.key == *first);
    let similar = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(first, name), *name))
        .filter(|(distance, name)| *distance <= 2.min(name.len() / 2))
        .min();
    let advice = match similar {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if message.starts_with("unknown field") => {
            format!("remove the field, or use the version of this program that made the plan; {ANEW}")
        }
        None => ANEW.to_owned(),
    };
    Problem {
        mark: entry.map_or(node.mark, |entry| entry.mark),
        message: message.to_owned(),
        advice,
    }
}

/// What the types cannot say: every step has a name of its own, and every write an object.
fn sound(plan: &Plan, node: &Node) -> Result<(), Problem> {
    let nodes = node.get("steps").map(Node::items).unwrap_or_default();
    let mut ids = BTreeSet::new();
    for (step, node) in plan.steps.iter().zip(nodes) {
        if step.id.is_empty() || !ids.insert(step.id.as_str()) {
            return Err(Problem {
                mark: node.get("id").map_or(node.mark, |id| id.mark),
                message: format!("the id `{}` is empty, or that of an earlier step", step.id),
                advice: ANEW.to_owned(),
            });
        }
        let writes = node.get("writes").map(Node::items).unwrap_or_default();
        for (write, node) in step.writes.iter().zip(writes) {
            let Target {
                api_version,
                kind,
                name,
                ..
            } = write.target();
            if api_version.is_empty() || kind.is_empty() || name.is_empty() {
                return Err(Problem {
                    mark: node.mark,
                    message: "the write does not name its object: apiVersion, kind and metadata.name"
                        .to_owned(),
                    advice: ANEW.to_owned(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
