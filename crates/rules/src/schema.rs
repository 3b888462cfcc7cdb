//! What a fact is: a typed value with a description, turned into a value of CEL once per subject.

use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::Val;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// A value as CEL sees it.
pub type CelValue = Box<dyn Val>;

/// The type of a fact.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Text.
    String,
    /// A list of one type.
    List(&'static Type),
    /// Text by text.
    Map,
    /// Named facts.
    Record(&'static Schema),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::String => f.write_str("string"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Map => f.write_str("map<string, string>"),
            Self::Record(schema) => f.write_str(schema.name),
        }
    }
}

/// The facts of a record.
#[derive(Debug)]
pub struct Schema {
    /// The name under which conditions speak of it.
    pub name: &'static str,
    /// What it is, as lines with a leading space.
    pub doc: &'static [&'static str],
    /// Its facts.
    pub fields: &'static [Field],
}

/// One fact.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it says, as lines with a leading space.
    pub doc: &'static [&'static str],
    /// Its type.
    pub kind: Type,
}

impl Schema {
    /// The fact of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A value that can be a fact.
pub trait Fact {
    /// Its type.
    const TYPE: Type;
    /// The value for CEL.
    fn to_cel(&self) -> CelValue;
}

/// A record of facts that rules can be about.
pub trait Facts: Send + Sync + fmt::Debug {
    /// The facts and their types.
    fn schema(&self) -> &'static Schema;
    /// The value for CEL.
    fn value(&self) -> CelValue;
}

impl Fact for bool {
    const TYPE: Type = Type::Bool;
    fn to_cel(&self) -> CelValue {
        Box::new(CelBool::from(*self))
    }
}

impl Fact for i64 {
    const TYPE: Type = Type::Int;
    fn to_cel(&self) -> CelValue {
        Box::new(CelInt::from(*self))
    }
}

impl Fact for String {
    const TYPE: Type = Type::String;
    fn to_cel(&self) -> CelValue {
        Box::new(CelString::from(self.clone()))
    }
}

impl Fact for &'static str {
    const TYPE: Type = Type::String;
    fn to_cel(&self) -> CelValue {
        Box::new(CelString::from(*self))
    }
}

impl<T: Fact> Fact for Vec<T> {
    const TYPE: Type = Type::List(&T::TYPE);
    fn to_cel(&self) -> CelValue {
        Box::new(CelList::from(self.iter().map(Fact::to_cel).collect::<Vec<_>>()))
    }
}

impl Fact for BTreeMap<String, String> {
    const TYPE: Type = Type::Map;
    fn to_cel(&self) -> CelValue {
        let entries: HashMap<CelMapKey<'static>, CelValue> = self
            .iter()
            .map(|(key, value)| (CelMapKey::from(key.clone()), value.to_cel()))
            .collect();
        Box::new(CelMap::from(entries))
    }
}

/// The value of a record from its fields.
#[must_use]
pub fn record(fields: Vec<(&'static str, CelValue)>) -> CelValue {
    let entries: HashMap<CelMapKey<'static>, CelValue> = fields
        .into_iter()
        .map(|(name, value)| (CelMapKey::from(name), value))
        .collect();
    Box::new(CelMap::from(entries))
}

/// Declares a record of facts: the struct, its schema and its value, from one line per fact.
macro_rules! facts {
    ($(#[doc = $doc:literal])+ pub struct $name:ident = $subject:literal {
        $( $(#[doc = $field_doc:literal])+ pub $field:ident : $type:ty = $key:literal ),* $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name { $( $(#[doc = $field_doc])+ pub $field: $type ),* }

        impl $name {
            /// The facts and their types.
            pub const SCHEMA: &'static $crate::schema::Schema = &$crate::schema::Schema {
                name: $subject,
                doc: &[$($doc),+],
                fields: &[$( $crate::schema::Field {
                    name: $key,
                    doc: &[$($field_doc),+],
                    kind: <$type as $crate::schema::Fact>::TYPE,
                } ),*],
            };
        }

        impl $crate::schema::Facts for $name {
            fn schema(&self) -> &'static $crate::schema::Schema {
                Self::SCHEMA
            }
            fn value(&self) -> $crate::schema::CelValue {
                $crate::schema::record(vec![
                    $( ($key, $crate::schema::Fact::to_cel(&self.$field)) ),*
                ])
            }
        }

        impl $crate::schema::Fact for $name {
            const TYPE: $crate::schema::Type = $crate::schema::Type::Record(Self::SCHEMA);
            fn to_cel(&self) -> $crate::schema::CelValue {
                $crate::schema::Facts::value(self)
            }
        }
    };
}
pub(crate) use facts;
