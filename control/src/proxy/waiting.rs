//! Answers of the proxy's own: waiting, stopped, refused. HTML for browsers, problem+json for everybody else.
//!
//! No outside assets; everything that comes from a studio is escaped. The waiting page asks for itself as JSON every second, shows the
//! steps, and loads again once the application answers; without scripts it loads again every three seconds.

use std::{fmt::Write as _, sync::LazyLock};

use data_encoding::BASE64;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
        VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    body::ProxyBody,
    routes::{Progress, StepState},
};

/// Marks answers of the proxy's own, so that a page can tell them from an application's.
pub const PROXY_ANSWER: HeaderName = HeaderName::from_static("x-atelier-proxy");

/// An answer of the proxy's own.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Short and stable, for programs.
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: String,
    /// Steps of a start.
    pub(super) progress: Vec<Progress>,
    /// It will pass: worth asking again.
    pub(super) retry: bool,
    /// Where to go on: address and text.
    pub(super) link: Option<(String, &'static str)>,
}

impl Answer {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code, title, detail: detail.into(), ..Self::default() }
    }

    pub(super) fn linked(mut self, address: String) -> Self {
        self.link = Some((address, "Open the studio's page"));
        self
    }

    pub(super) fn passing(mut self) -> Self {
        self.retry = true;
        self
    }

    /// The answer in the form that the client asked for.
    pub(super) fn response(self, request: &HeaderMap) -> Response<ProxyBody> {
        let html = request
            .get_all(ACCEPT)
            .iter()
            .any(|value| String::from_utf8_lossy(value.as_bytes()).contains("text/html"));
        let (kind, body) = if html {
            ("text/html; charset=utf-8", self.html())
        } else {
            ("application/problem+json", self.json().to_string())
        };
        let mut response = Response::new(ProxyBody::full(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(PROXY_ANSWER, HeaderValue::from_static(self.code));
        if html {
            headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY.clone());
        }
        if self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }

    fn json(&self) -> serde_json::Value {
        let mut problem = json!({
            "type": format!("urn:atelier:proxy:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.progress.is_empty() {
            problem["progress"] = json!(self.progress);
        }
        if let Some((address, _)) = &self.link {
            problem["studio_page"] = json!(address);
        }
        problem
    }

    fn html(&self) -> String {
        let title = escape(self.title);
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>"
        );
        if self.retry {
            page.push_str("<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>");
        }
        page.push_str("</head><body><main>");
        write!(page, "<h1>{title}</h1><p id=\"detail\">{}</p>", escape(&self.detail))
            .expect(INFALLIBLE);
        if self.retry || !self.progress.is_empty() {
            page.push_str("<ol id=\"progress\" aria-live=\"polite\">");
            for step in &self.progress {
                let class = class(step.state);
                let (name, message) = (escape(&step.step), escape(&step.message));
                write!(page, "<li class=\"{class}\"><b>{name}</b> <span>{message}</span></li>")
                    .expect(INFALLIBLE);
            }
            page.push_str("</ol>");
        }
        if let Some((address, text)) = &self.link {
            write!(page, "<p><a target=\"_top\" href=\"{}\">{text}</a></p>", escape(address))
                .expect(INFALLIBLE);
        }
        page.push_str("</main>");
        if self.retry {
            write!(page, "<script>{SCRIPT}</script>").expect(INFALLIBLE);
        }
        page.push_str("</body></html>");
        page
    }
}

const INFALLIBLE: &str = "writing to a text can't fail";

fn class(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "pending",
        StepState::Active => "active",
        StepState::Done => "done",
        StepState::Failed => "failed",
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}\
main{max-width:38rem;margin:12vh auto;padding:0 1rem}h1{font-size:1.4rem}ol{padding:0;list-style:none}\
li{padding:.2rem 0}li::before{display:inline-block;width:1.6rem;content:'\\25CB'}\
.active::before{content:'\\25D4'}.done::before{content:'\\25CF'}.failed::before{content:'\\2715'}.pending{opacity:.6}";

const SCRIPT: &str = "(async()=>{for(;;){await new Promise(r=>setTimeout(r,1000));try{\
const a=await fetch(location.href,{headers:{accept:'application/json'},cache:'no-store'});\
if(!a.headers.get('retry-after')||!a.headers.get('x-atelier-proxy')){location.reload();return}\
const p=await a.json();document.getElementById('detail').textContent=p.detail;\
const l=document.getElementById('progress');l.replaceChildren(...(p.progress||[]).map(s=>{\
const e=document.createElement('li');e.className=s.state;const b=document.createElement('b');b.textContent=s.step;\
e.append(b,' '+s.message);return e}))}catch{}}})()";

/// Allows the page's own style and script, by their digests, and nothing else.
static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = |text: &str| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)));
    let (style, script) = (digest(STYLE), digest(SCRIPT));
    let policy = format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; base-uri 'none'; form-action 'none'"
    );
    HeaderValue::from_str(&policy).expect("digests are of visible ASCII characters")
});

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn answer() -> Answer {
        let progress = vec![Progress {
            step: "<script>".to_owned(),
            state: StepState::Active,
            message: "\"'&".to_owned(),
            elapsed_ms: Some(7),
        }];
        let answer =
            Answer::new(StatusCode::SERVICE_UNAVAILABLE, "starting", "Starting", "</p>x").passing();
        Answer { progress, ..answer }.linked("/a?b=\"c".to_owned())
    }

    async fn text(accept: &str) -> (HeaderMap, String) {
        let request = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
        let (parts, body) = answer().response(&request).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn pages_escape_what_studios_say() {
        let (headers, page) = text("text/html,*/*").await;
        assert!(page.contains("<b>&lt;script&gt;</b> <span>&quot;&#39;&amp;</span>"), "{page}");
        assert!(page.contains("&lt;/p&gt;x") && page.contains("href=\"/a?b=&quot;c\""), "{page}");
        assert_eq!(page.matches("<script>").count(), 1);
        assert_eq!(headers[RETRY_AFTER], "2");
        assert!(
            headers[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'")
        );
    }

    #[tokio::test]
    async fn programs_get_json() {
        let (headers, body) = text("application/json").await;
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["progress"][0]["state"], "active");
        assert_eq!((&body["status"], &body["detail"]), (&json!(503), &json!("</p>x")));
    }
}
