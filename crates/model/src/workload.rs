//! Workloads of Kubernetes as far as the mesh cares: what their pods are called, labelled and made of.

use crate::record;
use crate::values::Port;
use std::collections::BTreeMap;

record! { lenient;
    /// The template of a workload's pods, or a pod itself.
    pub struct PodTemplate {
        /// Labels and annotations.
        pub metadata: TemplateMetadata = "metadata",
        /// Containers and settings.
        pub spec: PodSpec = "spec",
    }
}

record! { lenient;
    /// Labels and annotations of a template.
    pub struct TemplateMetadata {
        /// Labels.
        pub labels: BTreeMap<String, String> = "labels",
        /// Annotations.
        pub annotations: BTreeMap<String, String> = "annotations",
    }
}

record! { lenient;
    /// What a pod is made of.
    pub struct PodSpec {
        /// Containers.
        pub containers: Vec<Container> = "containers",
        /// Containers that run first, or beside the others as native sidecars.
        pub init_containers: Vec<Container> = "initContainers",
        /// Whether the pod uses the node's network.
        pub host_network: Option<bool> = "hostNetwork",
        /// The node, once scheduled.
        pub node_name: Option<String> = "nodeName",
        /// The identity.
        pub service_account_name: Option<String> = "serviceAccountName",
        /// Labels that the node must have.
        pub node_selector: BTreeMap<String, String> = "nodeSelector",
    }
}

impl PodSpec {
    /// The Istio proxy, wherever the injector put it.
    #[must_use]
    pub fn istio_proxy(&self) -> Option<&Container> {
        self.containers
            .iter()
            .chain(&self.init_containers)
            .find(|c| c.name == "istio-proxy")
    }
}

record! { lenient;
    /// A container.
    pub struct Container {
        /// Its name.
        pub name: String = "name",
        /// Its image.
        pub image: Option<String> = "image",
        /// Its ports.
        pub ports: Vec<ContainerPort> = "ports",
        /// Its environment.
        pub env: Vec<EnvVar> = "env",
        /// Its arguments.
        pub args: Vec<String> = "args",
    }
}

impl Container {
    /// The literal value of an environment variable.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .find(|e| e.name == name)
            .and_then(|e| e.value.as_deref())
    }

    /// The tag of the image, without a variant such as `-distroless`.
    #[must_use]
    pub fn image_tag(&self) -> Option<&str> {
        let image = self.image.as_deref()?.split('@').next()?;
        let (_, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
        Some(tag)
    }
}

record! { lenient;
    /// A port of a container.
    pub struct ContainerPort {
        /// The name.
        pub name: Option<String> = "name",
        /// The number.
        pub container_port: Option<Port> = "containerPort",
    }
}

record! { lenient;
    /// An environment variable.
    pub struct EnvVar {
        /// The name.
        pub name: String = "name",
        /// The value, if it is written out.
        pub value: Option<String> = "value",
    }
}

record! { lenient;
    /// The part of a controller's spec that holds its pods' template.
    pub struct Controller {
        /// The template.
        pub template: PodTemplate = "template",
        /// How many pods; absent is 1.
        pub replicas: Option<i64> = "replicas",
    }
}

record! { lenient;
    /// The part of a CronJob's spec that holds its job.
    pub struct CronJob {
        /// The job.
        pub job_template: JobTemplate = "jobTemplate",
    }
}

record! { lenient;
    /// A job in a CronJob.
    pub struct JobTemplate {
        /// Its spec.
        pub spec: Controller = "spec",
    }
}
