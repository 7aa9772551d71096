import { useCallback } from "react";
import { Route, Routes } from "react-router";
import { api, ApiError, ask } from "./api/client";
import { useLoaded } from "./api/useLoaded";
import { Layout } from "./components/Layout";
import { Status } from "./components/Status";
import { AccountPage } from "./pages/AccountPage";
import { AdminPage } from "./pages/AdminPage";
import { LogInPage } from "./pages/LogInPage";
import { ProjectPage } from "./pages/ProjectPage";
import { ProjectsPage } from "./pages/ProjectsPage";
import { StudioPage } from "./pages/StudioPage";
import { TemplatePage } from "./pages/TemplatePage";
import { TemplatesPage } from "./pages/TemplatesPage";
import { text } from "./text/en";

/** Asks who is there first: without a session, every address shows the log-in. */
export function App() {
  const me = useLoaded(useCallback(() => ask(api.GET("/auth/me")), []));
  if (me.error instanceof ApiError && me.error.status === 401)
    return <LogInPage onDone={() => location.reload()} />;
  if (me.data === undefined) return <Status error={me.error} />;
  return (
    <Layout me={me.data}>
      <Routes>
        <Route path="/" element={<ProjectsPage />} />
        <Route path="/projects/:project" element={<ProjectPage />} />
        <Route path="/studios/:studio" element={<StudioPage />} />
        <Route path="/templates" element={<TemplatesPage />} />
        <Route path="/templates/:template" element={<TemplatePage />} />
        <Route path="/account" element={<AccountPage me={me.data} />} />
        {me.data.admin && <Route path="/administration" element={<AdminPage me={me.data.login} />} />}
        <Route path="*" element={<p>{text.notFound}</p>} />
      </Routes>
    </Layout>
  );
}
