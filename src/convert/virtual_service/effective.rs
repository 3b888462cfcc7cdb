//! The rules of a VirtualService as istiod uses them: those of its delegates joined with its own.

use super::delegate::{self, Merged};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use model::virtual_service::{Delegate, HttpRoute, VirtualService};
use model::{FieldPath, Object};
use std::borrow::Cow;

/// The rules of an object for HTTP, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Effective<'a> {
    /// The rules.
    pub http: Vec<EffectiveRule<'a>>,
    /// Rules that delegate and of which nothing comes.
    gaps: Vec<Gap<'a>>,
}

/// A rule and the place where it is written.
#[derive(Debug, Clone)]
pub struct EffectiveRule<'a> {
    /// The rule; borrowed where nothing is joined.
    pub rule: Cow<'a, HttpRoute>,
    /// The object that holds it: the one that was asked for, or a delegate.
    pub object: &'a Object<VirtualService>,
    /// Its place there.
    pub path: FieldPath,
}

#[derive(Debug)]
struct Gap<'a> {
    object: &'a Object<VirtualService>,
    path: FieldPath,
    reason: Reason<'a>,
}

#[derive(Debug)]
enum Reason<'a> {
    Missing(String),
    NotExported(&'a Object<VirtualService>),
    /// The delegate delegates again, has unknown fields, or stands in the input twice.
    Uncertain(String),
    /// A rule of the delegate that fits no condition of the root's rule.
    Conflict,
}

impl<'a> Effective<'a> {
    /// The rules of an object. Its own short names count in its namespace; names in rules of delegates from
    /// other namespaces are written out.
    ///
    /// Source: istio/istio:pilot/pkg/model/virtualservice_controller.go (`mergeVirtualServices`).
    #[must_use]
    pub fn of(context: &'a Context<'_>, object: &'a Object<VirtualService>) -> Self {
        let mut effective = Self::default();
        let path = FieldPath::spec().key("http");
        for (index, rule) in object.spec.http.iter().enumerate() {
            let path = path.index(index);
            match &rule.delegate {
                Some(delegate) => effective.join(context, object, rule, delegate, &path),
                None => effective.http.push(EffectiveRule {
                    rule: Cow::Borrowed(rule),
                    object,
                    path,
                }),
            }
        }
        effective
    }

    fn join(
        &mut self,
        context: &'a Context<'_>,
        root: &'a Object<VirtualService>,
        rule: &'a HttpRoute,
        delegate: &Delegate,
        path: &FieldPath,
    ) {
        let namespace = delegate_namespace(delegate, root);
        let place = path.key("delegate");
        let Some(object) = context.delegate(namespace, &delegate.name) else {
            let name = format!("{namespace}/{}", delegate.name);
            return self.gap(root, place, Reason::Missing(name));
        };
        if !is_visible(context, object, root.namespace()) {
            return self.gap(root, place, Reason::NotExported(object));
        }
        if object.has_unknown_fields || context.is_duplicate(&object.id) {
            let why = format!(
                "{} has unknown fields or stands in the input more than once",
                object.id
            );
            return self.gap(root, place, Reason::Uncertain(why));
        }
        let rules = FieldPath::spec().key("http");
        for (index, theirs) in object.spec.http.iter().enumerate() {
            let path = rules.index(index);
            if theirs.delegate.is_some() {
                let why = format!("{} delegates again, which Istio refuses", object.id);
                self.gap(object, path.key("delegate"), Reason::Uncertain(why));
                continue;
            }
            match delegate::merge(context, root, rule, object, theirs) {
                Merged::Rule(merged) => self.http.push(EffectiveRule {
                    rule: Cow::Owned(*merged),
                    object,
                    path,
                }),
                Merged::Conflict => self.gap(object, path, Reason::Conflict),
            }
        }
    }

    fn gap(&mut self, object: &'a Object<VirtualService>, path: FieldPath, reason: Reason<'a>) {
        self.gaps.push(Gap { object, path, reason });
    }

    /// Whether the input holds everything that the rules delegate to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_open = |gap: &Gap<'_>| matches!(gap.reason, Reason::Missing(_) | Reason::Uncertain(_));
        !self.gaps.iter().any(is_open)
    }

    /// Says of every rule of which nothing comes why it is so.
    pub fn tell_gaps(&self, notes: &mut Notes<'_, VirtualService>) {
        for gap in &self.gaps {
            notes.elsewhere(gap.object);
            match &gap.reason {
                Reason::Missing(name) => notes.keep(
                    Code::DelegateMissing,
                    &gap.path,
                    format!("the input holds no VirtualService {name} without hosts; istiod leaves this rule out as long as there is none"),
                ),
                Reason::NotExported(delegate) => notes.tell(
                    Code::DelegateWithoutEffect,
                    &gap.path,
                    format!("{} is not exported to this namespace, so the rule has no effect", delegate.id),
                ),
                Reason::Uncertain(why) => notes.keep(Code::Delegate, &gap.path, why.clone()),
                Reason::Conflict => notes.tell(
                    Code::DelegateWithoutEffect,
                    &gap.path,
                    "the conditions of this rule fit none of the rule that delegates to it, so it has no effect there",
                ),
            }
        }
        notes.here();
    }
}

/// The namespace in which a delegate is looked for.
#[must_use]
pub fn delegate_namespace<'a>(delegate: &'a Delegate, root: &'a Object<VirtualService>) -> &'a str {
    delegate
        .namespace
        .as_deref()
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(root.namespace())
}

/// Whether a delegate is exported to the namespace of a root.
#[must_use]
pub fn is_visible(context: &Context<'_>, delegate: &Object<VirtualService>, namespace: &str) -> bool {
    let stated = &delegate.spec.export_to;
    let default = &context.mesh.settings.default_virtual_service_export_to;
    let export_to = if stated.is_empty() { default } else { stated };
    export_to.iter().any(|to| match to.as_str() {
        "*" => true,
        "." => delegate.namespace() == namespace,
        other => other == namespace,
    })
}
