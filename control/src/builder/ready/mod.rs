//! `ready`: an image that somebody else has built, with the agent as its entrypoint. For templates that install nothing, but
//! only say what is launched in it. Nothing is asked of the registry: whether it has the image shows where it is pulled.

use async_trait::async_trait;
use images::plan::BuildPlan;
use tokio_util::sync::CancellationToken;

use super::{BuildError, Builder, LogLine, LogSink, LogStream};
use crate::domain::build::ImageRef;

const NAME: &str = "ready";

/// The driver.
pub struct ReadyBuilder {
    /// As a runtime pulls it.
    image: String,
}

impl ReadyBuilder {
    pub fn new(image: String) -> Self {
        Self { image }
    }
}

#[async_trait]
impl Builder for ReadyBuilder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn check(&self, plan: &BuildPlan) -> Result<(), BuildError> {
        plan.nodes.first().map_or(Ok(()), |node| {
            Err(BuildError::Unsupported {
                block: node.block,
                block_type: node.block_type.clone(),
                why: format!("it adds to the image, and {} is used as it is", self.image),
                capable_runtimes: vec!["process"],
            })
        })
    }

    async fn build(
        &self,
        plan: &BuildPlan,
        _no_cache: bool,
        log: &dyn LogSink,
        _cancel: CancellationToken,
    ) -> Result<ImageRef, BuildError> {
        self.check(plan)?;
        let text = format!("used as it is: {}", self.image);
        log.line(LogLine { node: String::new(), stream: LogStream::Build, text }).await;
        Ok(ImageRef {
            builder: NAME.into(),
            reference: self.image.clone(),
            digest: plan.digest.clone(),
        })
    }

    async fn exists(&self, image: &ImageRef) -> Result<bool, BuildError> {
        Ok(image.builder == NAME && image.reference == self.image)
    }

    async fn collect_garbage(&self, _keep: &[ImageRef]) -> Result<(), BuildError> {
        // What is in the registry is not ours.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use images::{
        compose::{CompileContext, compile},
        template::{Resources, TemplateSpec},
    };

    use super::*;

    struct Silent;

    #[async_trait]
    impl LogSink for Silent {
        async fn line(&self, _line: LogLine) {}
    }

    fn plan(blocks: &serde_json::Value) -> BuildPlan {
        let spec = serde_json::json!({"label": "T", "blocks": blocks});
        let spec: TemplateSpec = serde_json::from_value(spec).unwrap();
        let context = CompileContext {
            base: "b".into(),
            platform: "linux/amd64".into(),
            build_env: [].into(),
        };
        compile(&spec, &Resources::default(), &context).unwrap().plan
    }

    #[tokio::test]
    async fn a_template_that_only_launches_gets_the_image() {
        let builder = ReadyBuilder::new("registry:5000/web:1".into());
        let plan = plan(&serde_json::json!([
            {"type": "entrypoint", "command": "exec httpd -f", "port": 8080, "label": "Web"}]));
        let image = builder.build(&plan, false, &Silent, CancellationToken::new()).await.unwrap();
        assert_eq!(image.reference, "registry:5000/web:1");
        assert!(builder.exists(&image).await.unwrap());
        let other = ReadyBuilder::new("registry:5000/web:2".into());
        assert!(!other.exists(&image).await.unwrap(), "another image is wanted now");
    }

    #[test]
    fn a_template_that_installs_is_refused_with_its_block() {
        let plan = plan(&serde_json::json!([{"type": "streamlit"}]));
        let error = ReadyBuilder::new("i".into()).check(&plan).unwrap_err();
        assert!(error.to_string().starts_with("block 0 (streamlit)"), "{error}");
    }
}
