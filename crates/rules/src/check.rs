//! Checks an expression against the schema of the facts: every name exists, every operator fits its operands.

use crate::schema::{Schema, Type};
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use std::fmt;

/// The type of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Checked {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Text.
    String,
    /// A list.
    List(Box<Checked>),
    /// Text by text.
    Map,
    /// Named facts, by the name of their schema.
    Record(Record),
    /// The element of an empty list: fits everything.
    Any,
}

/// A record; two are the same if their names are.
#[derive(Debug, Clone, Copy)]
pub struct Record(&'static Schema);

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl From<Type> for Checked {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Bool => Self::Bool,
            Type::Int => Self::Int,
            Type::String => Self::String,
            Type::List(element) => Self::List(Box::new((*element).into())),
            Type::Map => Self::Map,
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::String => f.write_str("string"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Map => f.write_str("map<string, string>"),
            Self::Record(record) => f.write_str(record.0.name),
            Self::Any => f.write_str("anything"),
        }
    }
}

/// What is wrong, and in which node of the expression.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeError {
    /// The node.
    pub node: u64,
    /// What is wrong.
    pub message: String,
}

/// The variables that an expression may use.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    variables: Vec<(String, Checked)>,
}

impl Scope {
    /// A scope with these records, each under its own name.
    #[must_use]
    pub fn of(schemas: &[&'static Schema]) -> Self {
        Self {
            variables: schemas
                .iter()
                .map(|s| (s.name.to_owned(), Checked::Record(Record(s))))
                .collect(),
        }
    }

    fn with(&self, name: &str, kind: Checked) -> Self {
        let mut scope = self.clone();
        scope.variables.push((name.to_owned(), kind));
        scope
    }

    fn get(&self, name: &str) -> Option<&Checked> {
        self.variables
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, kind)| kind)
    }

    /// The type of an expression.
    ///
    /// # Errors
    /// The first name that does not exist or operator that does not fit.
    pub fn check(&self, expression: &IdedExpr) -> Result<Checked, TypeError> {
        match &expression.expr {
            Expr::Literal(literal) => of_literal(expression, literal),
            Expr::Ident(name) => self
                .get(name)
                .cloned()
                .ok_or_else(|| self.unknown(expression, name)),
            Expr::Select(select) => {
                let kind = self.selected(expression, &select.operand, &select.field)?;
                Ok(if select.test { Checked::Bool } else { kind })
            }
            Expr::List(list) => {
                let mut element = Checked::Any;
                for item in &list.elements {
                    element = join(item, element, self.check(item)?)?;
                }
                Ok(Checked::List(Box::new(element)))
            }
            Expr::Call(call) => self.call(expression, call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Map(_) | Expr::Struct(_) => fail(expression, "facts are read here, not made: no `{…}`"),
            Expr::Unspecified => fail(expression, "an expression is missing"),
        }
    }

    fn selected(&self, whole: &IdedExpr, operand: &IdedExpr, field: &str) -> Result<Checked, TypeError> {
        match self.check(operand)? {
            Checked::Record(Record(schema)) => match schema.field(field) {
                Some(found) => Ok(found.kind.into()),
                None => {
                    let known = schema.fields.iter().map(|f| f.name);
                    fail(
                        whole,
                        format!(
                            "`{}` has no fact `{field}`{}",
                            schema.name,
                            similar(field, known, schema.name)
                        ),
                    )
                }
            },
            Checked::Map => Ok(Checked::String),
            other => fail(whole, format!("`.{field}` on {other}, which has no fields")),
        }
    }

    fn comprehension(&self, c: &ComprehensionExpr) -> Result<Checked, TypeError> {
        let element = match self.check(&c.iter_range)? {
            Checked::List(element) => *element,
            Checked::Map => Checked::String,
            other => {
                return fail(
                    &c.iter_range,
                    format!("only lists and maps have elements, this is {other}"),
                );
            }
        };
        let inner = self.with(&c.iter_var, element);
        let start = self.check(&c.accu_init)?;
        let scope = inner.with(&c.accu_var, start.clone());
        self.expect_in(&scope, &c.loop_cond, &Checked::Bool)?;
        let step = scope.check(&c.loop_step)?;
        let total = join(&c.loop_step, start, step)?;
        inner.with(&c.accu_var, total).check(&c.result)
    }

    fn expect_in(&self, scope: &Self, expression: &IdedExpr, wanted: &Checked) -> Result<(), TypeError> {
        expect(expression, &scope.check(expression)?, wanted)
    }

    fn call(&self, whole: &IdedExpr, call: &CallExpr) -> Result<Checked, TypeError> {
        let name = call.func_name.as_str();
        if let Some(target) = &call.target {
            return self.method(whole, name, target, &call.args);
        }
        let kinds = call
            .args
            .iter()
            .map(|a| self.check(a))
            .collect::<Result<Vec<_>, _>>()?;
        let args: Vec<(&IdedExpr, &Checked)> = call.args.iter().zip(&kinds).collect();
        match (name, args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b]) => {
                expect(a.0, a.1, &Checked::Bool)?;
                expect(b.0, b.1, &Checked::Bool)?;
                Ok(Checked::Bool)
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [a]) => {
                expect(a.0, a.1, &Checked::Bool)?;
                Ok(Checked::Bool)
            }
            (operators::CONDITIONAL, [test, a, b]) => {
                expect(test.0, test.1, &Checked::Bool)?;
                join(b.0, a.1.clone(), b.1.clone())
            }
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => {
                join(b.0, a.1.clone(), b.1.clone())?;
                Ok(Checked::Bool)
            }
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [a, b],
            ) => {
                if !matches!(a.1, Checked::Int | Checked::String) {
                    return fail(a.0, format!("{} has no order", a.1));
                }
                expect(b.0, b.1, a.1)?;
                Ok(Checked::Bool)
            }
            (operators::ADD, [a, b]) => {
                if matches!(a.1, Checked::Bool | Checked::Map | Checked::Record(_)) {
                    return fail(a.0, format!("{} cannot be added", a.1));
                }
                join(b.0, a.1.clone(), b.1.clone())
            }
            (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [a, b]) => {
                expect(a.0, a.1, &Checked::Int)?;
                expect(b.0, b.1, &Checked::Int)?;
                Ok(Checked::Int)
            }
            (operators::NEGATE, [a]) => {
                expect(a.0, a.1, &Checked::Int)?;
                Ok(Checked::Int)
            }
            (operators::IN, [a, b]) => match b.1 {
                Checked::List(element) => join(a.0, (**element).clone(), a.1.clone()).map(|_| Checked::Bool),
                Checked::Map => expect(a.0, a.1, &Checked::String).map(|()| Checked::Bool),
                other => fail(b.0, format!("`in` needs a list or a map, not {other}")),
            },
            (operators::INDEX, [a, b]) => match a.1 {
                Checked::List(element) => expect(b.0, b.1, &Checked::Int).map(|()| (**element).clone()),
                Checked::Map => expect(b.0, b.1, &Checked::String).map(|()| Checked::String),
                other => fail(a.0, format!("only lists and maps have an index, not {other}")),
            },
            ("size", [a]) => match a.1 {
                Checked::String | Checked::List(_) | Checked::Map => Ok(Checked::Int),
                other => fail(a.0, format!("{other} has no size")),
            },
            ("string", [a]) => match a.1 {
                Checked::String | Checked::Int | Checked::Bool => Ok(Checked::String),
                other => fail(
                    a.0,
                    format!("{other} cannot be made a string; `listed` does it for lists"),
                ),
            },
            ("listed", [a]) => {
                expect(a.0, a.1, &Checked::List(Box::new(Checked::String)))?;
                Ok(Checked::String)
            }
            _ => fail(
                whole,
                format!(
                    "there is no function `{name}` with {} arguments{}",
                    args.len(),
                    similar(name, ["size", "string", "listed"].into_iter(), "")
                ),
            ),
        }
    }

    fn method(
        &self,
        whole: &IdedExpr,
        name: &str,
        target: &IdedExpr,
        args: &[IdedExpr],
    ) -> Result<Checked, TypeError> {
        const METHODS: [&str; 11] = [
            "contains",
            "startsWith",
            "endsWith",
            "matches",
            "lowerAscii",
            "size",
            "join",
            "exists",
            "all",
            "filter",
            "map",
        ];
        let kind = self.check(target)?;
        match (name, args) {
            ("contains" | "startsWith" | "endsWith" | "matches", [arg]) => {
                expect(target, &kind, &Checked::String)?;
                self.expect_in(self, arg, &Checked::String)?;
                Ok(Checked::Bool)
            }
            ("lowerAscii", []) => {
                expect(target, &kind, &Checked::String)?;
                Ok(Checked::String)
            }
            ("size", []) => match kind {
                Checked::String | Checked::List(_) | Checked::Map => Ok(Checked::Int),
                other => fail(target, format!("{other} has no size")),
            },
            ("join", [arg]) => {
                expect(target, &kind, &Checked::List(Box::new(Checked::String)))?;
                self.expect_in(self, arg, &Checked::String)?;
                Ok(Checked::String)
            }
            _ => fail(
                whole,
                format!(
                    "there is no function `{name}` on {kind} with {} arguments{}",
                    args.len(),
                    similar(name, METHODS.into_iter(), "")
                ),
            ),
        }
    }

    fn unknown(&self, whole: &IdedExpr, name: &str) -> TypeError {
        let known: Vec<String> = self
            .variables
            .iter()
            .filter(|(n, _)| !n.starts_with('@'))
            .map(|(n, _)| format!("`{n}`"))
            .collect();
        TypeError {
            node: whole.id,
            message: format!(
                "there is no `{name}` here; this rule may speak of {}",
                known.join(", ")
            ),
        }
    }
}

fn of_literal(whole: &IdedExpr, literal: &LiteralValue) -> Result<Checked, TypeError> {
    match literal {
        LiteralValue::Boolean(_) => Ok(Checked::Bool),
        LiteralValue::Int(_) => Ok(Checked::Int),
        LiteralValue::String(_) => Ok(Checked::String),
        LiteralValue::Null => fail(whole, "no fact is ever null; compare with \"\", 0 or []"),
        LiteralValue::Bytes(_) | LiteralValue::Double(_) | LiteralValue::UInt(_) => {
            fail(whole, "facts are bool, int, string, lists and maps of these")
        }
    }
}

/// The type that fits both, or an error at the second.
fn join(at: &IdedExpr, a: Checked, b: Checked) -> Result<Checked, TypeError> {
    match (a, b) {
        (Checked::Any, other) | (other, Checked::Any) => Ok(other),
        (Checked::List(a), Checked::List(b)) => Ok(Checked::List(Box::new(join(at, *a, *b)?))),
        (a, b) if a == b => Ok(a),
        (a, b) => fail(at, format!("expected {a}, found {b}")),
    }
}

/// Refuses an expression that is not of the wanted type.
///
/// # Errors
/// Another type.
pub fn expect(at: &IdedExpr, found: &Checked, wanted: &Checked) -> Result<(), TypeError> {
    join(at, wanted.clone(), found.clone()).map(|_| ())
}

fn fail<T>(at: &IdedExpr, message: impl Into<String>) -> Result<T, TypeError> {
    Err(TypeError {
        node: at.id,
        message: message.into(),
    })
}

/// `; did you mean …?` for a name that is nearly right, else a pointer to the list.
pub(crate) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>, of: &str) -> String {
    let lower = name.to_lowercase();
    let best = known
        .map(|k| (strsim::damerau_levenshtein(&k.to_lowercase(), &lower), k))
        .min()
        .filter(|(distance, k)| *distance <= 3.min(k.len() / 2));
    match best {
        Some((_, k)) => format!("; did you mean `{k}`?"),
        None if of.is_empty() => String::new(),
        None => format!("; see `{of}` in docs/rules.md"),
    }
}
