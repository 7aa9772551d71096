//! From a template to an image in a registry, to a studio that runs in it.

use reqwest::Method;
use serde_json::json;

use crate::instance::{Instance, blocks};

#[tokio::test]
async fn a_template_s_scripts_and_the_agent_are_put_onto_a_base() {
    let instance = Instance::building(blocks(), &[]).await;
    instance.bring("start").await;
    assert_eq!(instance.until_served(8000, "/index.html").await, "served\n");
    assert_eq!(instance.exec("cat /proc/1/comm").await.0, "agent\n");

    let template = &instance.template;
    let script = "#!/bin/sh\necho \"by a script\" > index.html\nexec httpd -f -p 8000\n";
    instance.put_bytes(&format!("/templates/{template}/resources/serve.sh"), script).await;
    let spec = json!({"label": "T", "blocks": [
        {"type": "entrypoint", "label": "Web", "port": 8000, "expose": true, "proxied_subpath": "/",
         "scripts": ["serve.sh"], "command": "exec \"$ATELIER_PREFIX/scripts/serve.sh\""}]});
    instance.call(Method::POST, "/templates/apply", Some(spec)).await;
    instance.build(template).await;
    // A running studio keeps its image until it is started again.
    assert_eq!(instance.until_served(8000, "/index.html").await, "served\n");
    instance.bring("stop").await;
    instance.bring("start").await;
    assert_eq!(instance.until_served(8000, "/index.html").await, "by a script\n");
    instance.bring("stop").await;
    instance.until_gone().await;
}

#[tokio::test]
async fn statements_of_a_dockerfile_are_run_by_buildah() {
    let mut blocks = blocks();
    let statements =
        json!({"type": "dockerfile", "as_root": true, "statements": "RUN echo built > /built"});
    blocks.as_array_mut().unwrap().insert(0, statements);
    let instance = Instance::building(blocks, &["--with-buildah"]).await;
    instance.bring("start").await;
    assert_eq!(instance.exec("cat /built").await, ("built\n".to_owned(), 0));
    instance.bring("stop").await;
    instance.until_gone().await;
}
