//! What a new instance begins with: a project, a template of every block that the process runtime knows, its first build, and
//! a studio to start.

use serde_json::{Value, json};

use crate::{
    app::{AppError, services::Services},
    domain::{ids::Login, permission::Principal, project::Project, user::Scope},
};

const KEY: &str = "SAMPLE";
const NOTEBOOK: &str = include_str!("sample/welcome.ipynb");

/// Makes it, unless the instance has a project already.
pub async fn make(services: &Services, administrator: Login) -> Result<(), AppError> {
    let who =
        Principal { login: administrator, admin: true, groups: [].into(), scope: Scope::Admin };
    if !services.projects.list(&who).await?.is_empty() {
        return Ok(());
    }
    let project = Project {
        key: KEY.parse().expect("it is a good key"),
        name: "Sample project".to_owned(),
        description: "A studio with JupyterLab and a Streamlit application.".to_owned(),
        permissions: Vec::new(),
    };
    let project = services.projects.create(&who, project).await?;
    let template = services.templates.create(&who, template()).await?.head.id;
    services.builds.request(&who, &template, false).await?;
    services.studios.create(&who, &project.key, "my studio", &template).await?;
    Ok(())
}

fn template() -> Value {
    json!({
        "label": "JupyterLab and Streamlit",
        "icon": "notebook",
        "description": "Notebooks and an application beside each other, with pandas.",
        "blocks": [
            {"type": "jupyterlab"},
            {"type": "streamlit"},
            {"type": "code_env", "name": "analysis", "packages": ["pandas"]},
            {"type": "starter_files", "files": [
                {"text": NOTEBOOK, "zone": "code_studio-versioned", "path": "welcome.ipynb"},
            ]},
            {"type": "file_sync", "exclusions": [".ipynb_checkpoints/", "__pycache__/", "*.pyc"]},
            {"type": "action", "name": "Count lines",
             "command_line": "find . -name \"*.${ATELIER_INPUT_ENDING:-py}\" -type f -exec wc -l {} +",
             "inputs": [{"name": "ENDING", "label": "File name ending", "default": "py"}]},
            {"type": "entrypoint", "label": "Workspace files", "port": 8000,
             "command": "exec python3 -m http.server --bind \"$ATELIER_LISTEN_ADDRESS\" 8000"},
        ],
    })
}
