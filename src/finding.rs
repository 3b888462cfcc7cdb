//! What every judgement of the program is told as: a code, a place, what is wrong and what to do.

use model::{FieldPath, Mark, Object, ObjectRef, Origin};
use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::fmt;

pub use rules::Severity;

/// Where a finding is: a place in a file, a field of an object, or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The document.
    pub origin: Origin,
    /// Line and column in it, if it is a text.
    pub mark: Mark,
    /// The object, where it could be read.
    pub object: Option<ObjectRef>,
    /// The field in the object.
    pub path: FieldPath,
}

impl Location {
    /// The place of a field of an object.
    #[must_use]
    pub fn of_field<T>(object: &Object<T>, path: &FieldPath) -> Self {
        Self {
            origin: object.origin.clone(),
            mark: object.mark_of(path),
            object: Some(object.id.clone()),
            path: path.clone(),
        }
    }

    /// The place of an object itself: its name, which is what a reader looks for.
    #[must_use]
    pub fn of_object<T>(object: &Object<T>) -> Self {
        let name = FieldPath::root().key("metadata").key("name");
        Self {
            path: FieldPath::root(),
            ..Self::of_field(object, &name)
        }
    }

    /// A place in a document that is not (part of) an object.
    #[must_use]
    pub fn of_document(origin: Origin, mark: Mark) -> Self {
        Self {
            origin,
            mark,
            object: None,
            path: FieldPath::root(),
        }
    }
}

impl fmt::Display for Location {
    /// `file:line:column`, or `namespace/Kind/name:field` for objects of a cluster.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path) if self.mark.is_known() => {
                write!(f, "{path}:{}:{}", self.mark.line, self.mark.column)
            }
            Origin::File(path) => f.write_str(path),
            Origin::Cluster => match &self.object {
                Some(object) if self.path.segments().is_empty() => write!(f, "{object}"),
                Some(object) => write!(f, "{object}:{}", self.path),
                None => f.write_str("cluster"),
            },
        }
    }
}

/// One thing that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Code of the rule or message, such as `MM1101`.
    pub code: Cow<'static, str>,
    /// Its name in words with hyphens.
    pub name: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub location: Location,
    /// What is the case, in one sentence without a full stop.
    pub message: String,
    /// What to do, with the literal setting where there is one; empty where nothing is to be done.
    pub fix: Cow<'static, str>,
}

impl Finding {
    /// The order of all outputs: the worst first, then by object, place and code.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        fn key(finding: &Finding) -> impl Ord {
            (
                Reverse(finding.severity),
                &finding.location.object,
                &finding.location,
                &finding.code,
                &finding.message,
            )
        }
        key(self).cmp(&key(other))
    }
}
