//! Prompt templates that people write in the browser.

use app::ports::{Answer, TemplatesPort};
use contract::Code;
use contract::Problem;
use contract::saved::SavedTemplate;
use contract::templates::UserTemplate;

use crate::error::Fault;
use crate::state::AppState;

/// Templates kept at most.
const MOST: usize = 200;

/// The templates port.
pub struct Templates(pub AppState);

impl Templates {
    async fn keep(&self, template: UserTemplate) -> Result<(), Fault> {
        let template = template.checked().map_err(Fault::Problems)?;
        let known = self.0.store.templates().await?;
        if known.len() >= MOST && known.iter().all(|one| one.template.name != template.name) {
            return Err(Problem::new(Code::TemplateTooMany, format!("There are {MOST} templates already."))
                .with("most", MOST)
                .hint("Delete one.")
                .into());
        }
        self.0.store.save_template(&self.0.ids.next(), &template, self.0.clock.now_ms()).await
    }

    async fn forget(&self, id: &str) -> Result<(), Fault> {
        if self.0.store.delete_template(id).await? {
            Ok(())
        } else {
            Err(Problem::not_found("template").into())
        }
    }
}

impl TemplatesPort for Templates {
    fn list(&self) -> Answer<'_, Vec<SavedTemplate>> {
        Box::pin(async move { Ok(self.0.store.templates().await?) })
    }

    fn save(&self, template: UserTemplate) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.keep(template).await?) })
    }

    fn delete(&self, id: String) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.forget(&id).await?) })
    }
}
