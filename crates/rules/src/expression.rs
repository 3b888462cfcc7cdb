//! Expressions of rules: compiled once, evaluated for each subject.

use crate::check::{Checked, Scope, expect};
use crate::place::{Spanned, of_offset};
use crate::schema::{Facts, Record};
use cel::common::types::{CelList, CelString, LIST_TYPE};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Env, ExecutionError, Program, Value, extensions};
use model::Mark;
use std::sync::{Arc, LazyLock};

pub use cel::Context;

/// How many elements `listed` writes out.
const LISTED: usize = 3;

/// The functions that expressions may use, or why they could not be set up.
static ENVIRONMENT: LazyLock<Result<Arc<Env>, String>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let set_up = env
        .add_extension(extensions::strings)
        .and_then(|()| env.add_overload("listed", "listed_list", vec![LIST_TYPE], listed));
    match set_up {
        Ok(()) => Ok(Arc::new(env)),
        Err(error) => Err(error.to_string()),
    }
});

/// `` `a`, `b` and 4 more ``.
fn listed<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let list = args
        .first()
        .and_then(|arg| arg.downcast_ref::<CelList>())
        .ok_or_else(|| ExecutionError::function_error("listed", "needs a list"))?;
    let words: Vec<String> = list
        .inner()
        .iter()
        .map(|item| match item.downcast_ref::<CelString>() {
            Some(text) => Ok(format!("`{}`", text.inner())),
            None => Err(ExecutionError::function_error(
                "listed",
                "needs a list of strings",
            )),
        })
        .collect::<Result<_, _>>()?;
    let text = match words.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] if words.len() <= LISTED => format!("{} and {last}", first.join(", ")),
        many => format!("{} and {} more", many[..LISTED].join(", "), many.len() - LISTED),
    };
    Ok(CowVal::owned(CelString::from(text)))
}

/// The variables of a rule's expressions: the mesh and one subject.
#[derive(Debug)]
pub struct Variables<'a> {
    mesh: (&'static str, Record<'a>),
    subject: (&'static str, Record<'a>),
}

impl<'a> Variables<'a> {
    /// Variables under the names of their schemas.
    #[must_use]
    pub fn new(mesh: &'a dyn Facts, subject: &'a dyn Facts) -> Self {
        Self {
            mesh: (mesh.schema().name, Record(mesh)),
            subject: (subject.schema().name, Record(subject)),
        }
    }

    /// A context in which expressions can be evaluated.
    ///
    /// # Errors
    /// Functions that could not be set up.
    pub fn context(&self) -> Result<Context<'_, '_>, String> {
        let mut context = ENVIRONMENT.clone().map(Context::with_env)?;
        context.set_variable_resolver(self);
        Ok(context)
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        [&self.subject, &self.mesh]
            .into_iter()
            .find(|(name, _)| *name == variable)
            .map(|(_, record)| CowVal::Borrowed(record))
    }
}

/// An expression that was checked.
#[derive(Debug)]
pub struct Expression {
    /// Its text.
    pub text: String,
    program: Program,
}

impl Expression {
    /// Compiles a text and checks its types.
    ///
    /// # Errors
    /// Bad syntax, unknown names, wrong types, each with its place in the file.
    pub fn compile(
        source: &Spanned,
        file: &str,
        scope: &Scope,
        wanted: &Checked,
    ) -> Result<Self, (Mark, String)> {
        let env = ENVIRONMENT
            .as_ref()
            .map_err(|message| (source.mark, message.clone()))?;
        let program = env.compile(&source.text).map_err(|errors| {
            let first = errors.errors.first();
            let offset = first.map_or(0, |e| offset_of(&source.text, e.pos));
            let message = first.map_or(String::new(), |e| syntax(&e.msg));
            (
                of_offset(file, source, offset),
                format!("not a CEL expression: {message}"),
            )
        })?;
        let root = program.expression();
        let result = scope.check(root).and_then(|found| expect(root, &found, wanted));
        if let Err(error) = result {
            let offset = program
                .source_info()
                .offset_for(error.node)
                .map_or(0, |(start, _)| usize::try_from(start).unwrap_or(0));
            return Err((of_offset(file, source, offset), error.message));
        }
        Ok(Self {
            text: source.text.clone(),
            program,
        })
    }

    /// The answer of an expression whose type is bool.
    ///
    /// # Errors
    /// Whatever can fail at run time, such as a key that a map does not have.
    pub fn is_true(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        match self.program.execute(context) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!("gave {} instead of a bool", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The answer of an expression whose type is string.
    ///
    /// # Errors
    /// Whatever can fail at run time.
    pub fn text_of(&self, context: &Context<'_, '_>) -> Result<String, String> {
        match self.program.execute(context) {
            Ok(Value::String(text)) => Ok(text.to_string()),
            Ok(other) => Err(format!("gave {} instead of a string", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The parser's message without the list of what it could have gone on with.
fn syntax(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("Syntax error: ");
    if line.contains("'<EOF>'") && line.starts_with("mismatched") {
        return "something is missing at the end".to_owned();
    }
    let line = line.split(" expecting ").next().unwrap_or(line);
    line.replace("'<EOF>'", "the end")
}

/// Line and column of the parser, both from 1, as an offset in characters.
fn offset_of(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    let column = usize::try_from(column).unwrap_or(1).saturating_sub(1);
    let before: usize = text
        .split_inclusive('\n')
        .take(line)
        .map(|l| l.chars().count())
        .sum();
    before + column
}
