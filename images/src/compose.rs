//! From a template to a plan and a launch specification.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::{
    blocks::{Block, kubernetes::put_probe},
    launch::{LaunchSpec, Mount, Readiness},
    plan::{BuildPlan, FileContent, FileEntry, Fragment, ImageConfig, Node, NodeKey, Run, Work},
    template::{Problem, Resources, TemplateSpec},
};

/// Raised when the meaning of a plan changes, so that nothing built before is taken for the new.
const SCHEMA: u32 = 1;

/// Zone kinds that every studio sees unless `file_sync` says otherwise, with whether they are two-way.
pub const DEFAULT_ZONES: [&str; 8] = [
    "project-lib-versioned",
    "project-lib-resources",
    "recipes",
    "notebooks",
    "code_studio-versioned",
    "code_studio-resources",
    "user-versioned",
    "user-resources",
];

/// What is known beside the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileContext {
    /// What the image stands on: a base image's reference, or a name of this machine's own interpreters.
    pub base: String,
    pub platform: String,
    /// For install scripts: package mirrors, proxies, CA bundle. They don't count into keys, since they don't change what is
    /// installed.
    pub build_env: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    pub plan: BuildPlan,
    pub launch: LaunchSpec,
}

/// Collects what blocks contribute, in their order.
pub struct Composition<'a> {
    resources: &'a Resources,
    context: &'a CompileContext,
    block: usize,
    block_type: &'static str,
    nodes: Vec<Node>,
    pub(crate) config: ImageConfig,
    pub(crate) launch: LaunchSpec,
    /// Of the pod; applied when all entrypoints are known.
    pub(crate) pod_probe: Option<Readiness>,
    problems: Vec<Problem>,
}

/// Everything wrong with a template; empty: it compiles.
pub fn validate(spec: &TemplateSpec, resources: &Resources) -> Vec<Problem> {
    let context =
        CompileContext { base: String::new(), platform: String::new(), build_env: BTreeMap::new() };
    compile(spec, resources, &context).err().unwrap_or_default()
}

/// Compiles a template, or says everything that is wrong with it.
pub fn compile(
    spec: &TemplateSpec,
    resources: &Resources,
    context: &CompileContext,
) -> Result<Compiled, Vec<Problem>> {
    let mut composition = Composition {
        resources,
        context,
        block: 0,
        block_type: "",
        nodes: Vec::new(),
        config: ImageConfig::default(),
        launch: LaunchSpec::default(),
        pod_probe: None,
        problems: Vec::new(),
    };
    for zone in DEFAULT_ZONES {
        composition.launch.mounts.push(default_mount(zone));
    }
    for (place, block) in spec.blocks.iter().enumerate() {
        composition.block = place;
        composition.block_type = block.type_name();
        block.rules().apply(&mut composition);
    }
    composition.finish(&spec.blocks)
}

pub(crate) fn default_mount(zone: &str) -> Mount {
    Mount {
        zone: zone.to_owned(),
        sub_folder: String::new(),
        target: zone.to_owned(),
        one_way: false,
        exclusions: Vec::new(),
        live: false,
        merge: false,
        shadow: true,
    }
}

impl Composition<'_> {
    /// Notes that a field of the present block is wrong.
    pub(crate) fn problem(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.problems.push(Problem {
            block: Some(self.block),
            field: field.into(),
            reason: reason.into(),
        });
    }

    /// A resource's content; notes a problem when there is none.
    pub(crate) fn resource(&mut self, field: &str, path: &str) -> Option<FileContent> {
        let found = self.resources.get(path).cloned().map(FileContent);
        if found.is_none() {
            self.problem(field, format!("the template has no resource {path:?}"));
        }
        found
    }

    /// Paths of all resources below a folder.
    pub(crate) fn resource_paths(&self) -> impl Iterator<Item = &String> {
        self.resources.keys()
    }

    /// A script that owns `$PREFIX` alone: built once per base, whatever stands before it.
    pub(crate) fn independent_script(
        &mut self,
        name: &str,
        folder: &str,
        text: &str,
        env: BTreeMap<String, String>,
        context: BTreeMap<String, FileContent>,
    ) {
        let fragment = Fragment::Script { folder: folder.to_owned(), text: text.to_owned(), env };
        self.run(name, fragment, context, false, true);
    }

    /// Something that is executed on top of all before it.
    pub(crate) fn run(
        &mut self,
        name: &str,
        fragment: Fragment,
        context: BTreeMap<String, FileContent>,
        as_root: bool,
        independent: bool,
    ) {
        let context_digest = digest_of(&context);
        self.push(name, Work::Run(Run { fragment, context, context_digest, as_root }), independent);
    }

    /// Files below the studio prefix.
    pub(crate) fn files(&mut self, name: &str, files: Vec<FileEntry>) {
        self.push(name, Work::Files(files), false);
    }

    fn push(&mut self, name: &str, work: Work, independent: bool) {
        let parent =
            if independent { None } else { self.nodes.last().map(|node| node.key.clone()) };
        // Files and scripts of a folder of their own stand on nothing but the base in effect; their key says so.
        let key = digest_of(&(SCHEMA, &self.context.base, &self.context.platform, &parent, &work));
        self.nodes.push(Node {
            key: NodeKey(key),
            parent,
            name: name.to_owned(),
            block: self.block,
            block_type: self.block_type.to_owned(),
            independent,
            work,
        });
    }

    fn finish(mut self, blocks: &[Block]) -> Result<Compiled, Vec<Problem>> {
        self.check_uniqueness(blocks);
        if let Some(probe) = self.pod_probe.take()
            && !put_probe(&mut self.launch, &probe)
        {
            let reason = "a pod is probed on an exposed port, and no entrypoint has one".to_owned();
            self.problems.push(Problem { block: None, field: "kubernetes".into(), reason });
        }
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| problem.block);
            return Err(self.problems);
        }
        let mut ports: Vec<u16> =
            self.launch.entrypoints.iter().filter_map(|entrypoint| entrypoint.port).collect();
        ports.extend(&self.launch.more_ports);
        ports.sort_unstable();
        ports.dedup();
        self.config.exposed_ports = ports;
        self.launch.env.clone_from(&self.config.env);
        self.launch.path.clone_from(&self.config.path);
        let digest = digest_of(&(
            SCHEMA,
            &self.context.base,
            &self.context.platform,
            &self.nodes,
            &self.config,
        ));
        let plan = BuildPlan {
            base: self.context.base.clone(),
            platform: self.context.platform.clone(),
            nodes: self.nodes,
            config: self.config,
            digest,
        };
        Ok(Compiled { plan, launch: self.launch })
    }

    /// Names and ports that must differ, across blocks.
    fn check_uniqueness(&mut self, blocks: &[Block]) {
        let mut seen = BTreeSet::new();
        for (place, block) in blocks.iter().enumerate() {
            for (what, value) in block.rules().claims() {
                if !seen.insert((what, value.clone())) {
                    let reason = format!("{value} is taken by a block before this one");
                    self.problems.push(Problem {
                        block: Some(place),
                        field: what.to_owned(),
                        reason,
                    });
                }
            }
        }
        let mut targets: Vec<&str> =
            self.launch.mounts.iter().map(|mount| mount.target.trim_matches('/')).collect();
        targets.sort_unstable();
        for pair in targets.windows(2) {
            if pair[0] == pair[1]
                || pair[1].strip_prefix(pair[0]).is_some_and(|rest| rest.starts_with('/'))
            {
                let reason = format!("mounts at {:?} and {:?} lie in each other", pair[0], pair[1]);
                self.problems.push(Problem { block: None, field: "mounts".into(), reason });
            }
        }
    }
}

fn digest_of<T: serde::Serialize>(value: &T) -> String {
    let bytes = serde_json::to_vec(value)
        .expect("our own types have string keys and no failing serialisers");
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
