//! What a fact is: a typed value with a description, turned into a value of CEL when a condition asks for it.

use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelString, MAP_TYPE, Type as CelType};
use cel::common::value::{CowVal, Val};
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
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::String => f.write_str("string"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Map => f.write_str("map<string, string>"),
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
    /// The value of a fact for CEL.
    fn fact(&self, name: &str) -> Option<CelValue>;
}

/// A record as a value of CEL, which makes a fact when it is asked for: most are not.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a>(pub &'a dyn Facts);

impl Val for Record<'_> {
    fn get_type(&self) -> &CelType {
        Self::cel_type()
    }

    fn cel_type() -> &'static CelType {
        &MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Record<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = index.downcast_ref::<CelString>().map_or("", |name| name.inner());
        let fact = self
            .0
            .fact(name)
            .ok_or_else(|| ExecutionError::no_such_key(name))?;
        Ok(CowVal::Owned(fact))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
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
            fn fact(&self, name: &str) -> Option<$crate::schema::CelValue> {
                match name {
                    $( $key => Some($crate::schema::Fact::to_cel(&self.$field)), )*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use facts;
