//! Theme, language, what this machine is, and what this browser keeps.

mod deleted;
mod kept;
mod limits;

use contract::system::SystemView;
use leptos::prelude::*;

use self::deleted::DeletedThings;
use self::kept::KeptModels;
use self::limits::LimitsCard;
use super::Head;
use crate::browser::cookies::{self, LANG, Prefs, THEME};
use crate::browser::{reload, value_of};
use crate::components::part::settled;
use crate::ports::read_system;
use crate::words::amounts::{num, size};
use crate::words::{Lang, words};

/// The settings page.
#[component]
pub(crate) fn Settings() -> impl IntoView {
    let w = &words().studio;
    let system = Resource::new(|| (), |()| read_system());
    view! {
        <Head title=w.settings_title text=w.settings_text/>
        <div class="grid two settings">
            <section class="card pad grid"><ThemeChoice/><LangChoice/></section>
            <section class="card pad">
                <h2 id="machine">{w.machine}</h2>
                {settled(system, |system| view! { <Facts system/> }.into_any())}
            </section>
            <section class="card pad"><KeptModels/></section>
            <section class="card pad"><DeletedThings/></section>
            <LimitsCard/>
        </div>
    }
    .into_any()
}

#[component]
fn ThemeChoice() -> impl IntoView {
    let w = &words().studio;
    let now = use_context::<Prefs>().map_or("system", |prefs| prefs.theme);
    let options =
        [("system", w.theme_system), ("light", w.theme_light), ("dark", w.theme_dark)].map(|(key, name)| {
            view! {
                <label class="choice">
                    <input type="radio" name="theme" value=key checked=key == now on:change=move |event| {
                        let theme = cookies::theme(&value_of(&event));
                        cookies::keep(THEME, theme);
                        cookies::show_theme(theme);
                    }/>
                    <span>{name}</span>
                </label>
            }
        });
    view! { <fieldset><legend>{w.theme}</legend>{options.into_iter().collect_view()}</fieldset> }.into_any()
}

#[component]
fn LangChoice() -> impl IntoView {
    let w = words();
    let options = [("en", "English", Lang::En), ("zh", "中文", Lang::Zh)].map(|(key, name, lang)| {
        view! {
            <label class="choice">
                <input type="radio" name="lang" value=key checked=lang == w.lang on:change=move |_| {
                    cookies::keep(LANG, key);
                    reload();
                }/>
                <span lang=lang.tag()>{name}</span>
            </label>
        }
    });
    view! { <fieldset><legend>{w.studio.language}</legend>{options.into_iter().collect_view()}</fieldset> }
        .into_any()
}

#[component]
fn Facts(system: SystemView) -> impl IntoView {
    let w = &words().studio;
    let memory = format!("{} / {}", size(system.memory_used), size(system.memory_total));
    view! {
        <dl>
            <dt>{w.device}</dt><dd>{system.device}</dd>
            <dt>{w.cores}</dt><dd>{num(u64::from(system.cores))}</dd>
            <dt>{w.memory_word}</dt><dd>{memory}</dd>
            <dt>{w.disk}</dt><dd>{size(system.disk_free)}</dd>
            <dt>{w.version}</dt><dd>{system.version}</dd>
        </dl>
        <p class="small">{if system.starter { w.starter_there } else { w.starter_missing }}</p>
    }
    .into_any()
}
