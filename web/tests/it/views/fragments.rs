//! What the live stream sends is what the page shows.

use maud::Markup;
use scraper::{Html, Selector};
use shared::operation::JobState;
use web::views::fragment::{Fragment, partial};
use web::views::layout::{Audience, Theme};
use web::views::{account, assets, drift, drift_server, home_admin, home_client, nav, operation, queue, security, server, site};

use super::{models, samples};

/// Each fragment's outermost element has its id, and the page contains the fragment as it is.
fn are_parts_of(page: &Markup, fragments: &[Fragment]) {
    assert!(!fragments.is_empty());
    for fragment in fragments {
        assert!(page.0.contains(&fragment.html.0), "{} differs from the page", fragment.id);
        let tag_end = fragment.html.0.find('>').unwrap();
        assert!(fragment.html.0[..tag_end].contains(&format!("id=\"{}\"", fragment.id)), "{}", fragment.html.0);
    }
}

#[test]
fn lists_and_their_fragments_are_one_truth() {
    let viewer = models::viewer(Audience::Admin, Theme::System);
    let sites = samples::site_list(true);
    let page = site::list_page(&viewer, &sites);
    are_parts_of(&page, &site::fragments(&sites));
    are_parts_of(&page, &[site::container(&sites)]);
    let servers = samples::server_list();
    let page = server::list_page(&viewer, &servers);
    are_parts_of(&page, &[server::parts(&servers), server::rows(&servers)].concat());
    are_parts_of(&page, &[server::container(&servers)]);
}

#[test]
fn pages_and_their_fragments_are_one_truth() {
    let viewer = models::viewer(Audience::Client, Theme::System);
    for number in 0..models::sites(false).len() {
        let model = samples::site_show(number, false);
        are_parts_of(&site::show_page(&viewer, &model), &site::show_fragments(&model));
    }
    for row in models::accounts(false) {
        let model = samples::account_show(row, false);
        are_parts_of(&account::show_page(&viewer, &model), &account::show_fragments(&model));
    }
    for row in models::operations(false) {
        let model = samples::operation_show(row, models::job(JobState::Working, models::working_steps()), false);
        are_parts_of(&operation::show_page(&viewer, &model), &operation::show_fragments(&model));
    }
    let model = samples::drift_model();
    let admin = models::viewer(Audience::Admin, Theme::System);
    are_parts_of(&drift::page(&admin, &model), &drift::fragments(&model));
    let model = samples::drift_server_model();
    are_parts_of(&drift_server::page(&admin, &model), &drift_server::fragments(&model));
    for row in models::servers() {
        let model = samples::server_show(row);
        are_parts_of(&server::show_page(&viewer, &model), &server::show_fragments(&model));
    }
    for (_, model) in samples::rollouts() {
        are_parts_of(&server::rollout_page(&viewer, &model), &server::rollout_fragments(&model));
    }
}

#[test]
fn queues_and_logs_and_their_fragments_are_one_truth() {
    let viewer = models::viewer(Audience::Admin, Theme::System);
    let model = samples::queue();
    let page = queue::queue_page(&viewer, &model);
    are_parts_of(&page, &queue::parts(&model));
    are_parts_of(&page, &queue::rows(&model));
    are_parts_of(&page, &[queue::container(&model)]);
    let model = samples::security_events();
    let page = security::list_page(&viewer, &model);
    are_parts_of(&page, &security::rows(&model));
    are_parts_of(&page, &[security::container(&model), security::filters(&model)]);
}

#[test]
fn homes_and_their_fragments_are_one_truth() {
    let viewer = models::viewer(Audience::Client, Theme::System);
    let home = samples::home_client();
    are_parts_of(&home_client::page(&viewer, &home), &home_client::fragments(&home));
    are_parts_of(&home_client::page(&viewer, &home), &[nav::failed_operations(viewer.failed_operations)]);
    let viewer = models::viewer(Audience::Admin, Theme::System);
    let home = samples::home_admin();
    are_parts_of(&home_admin::page(&viewer, &home), &home_admin::fragments(&home));
    are_parts_of(&home_admin::page(&viewer, &home), &home_admin::rows(&home));
    are_parts_of(&home_admin::page(&viewer, &home), &[home_admin::container(&home)]);
}

#[test]
fn a_row_and_the_line_below_it_are_one_element() {
    for row in models::sites(false) {
        let fragment = site::row_fragment(&row, models::now());
        let table = Html::parse_fragment(&format!("<table>{}</table>", fragment.html.0));
        assert_eq!(table.select(&Selector::parse("tbody").unwrap()).count(), 1);
        assert_eq!(fragment.id, site::row_id(row.id));
    }
}

/// A tag a line, and without the fingerprint that changes with each new icon.
fn readable(html: &Markup) -> String {
    html.0.replace(&assets::ICONS.url(), "icons.svg").replace("><", ">\n<")
}

#[test]
fn a_partial_names_its_target() {
    let fragment = site::row_fragment(&models::sites(false)[1], models::now());
    insta::assert_snapshot!(readable(&partial(&fragment)));
}

#[test]
fn a_failed_row_says_what_happened_and_whether_anything_changed() {
    let fragment = site::row_fragment(&models::sites(false)[2], models::now());
    insta::assert_snapshot!(readable(&fragment.html));
}

#[test]
fn a_job_is_drawn_as_a_waterfall() {
    let row = models::operations(false).swap_remove(3);
    let model = samples::operation_show(row, models::job(JobState::Done, models::done_steps()), false);
    let job = operation::show_fragments(&model).swap_remove(0);
    insta::assert_snapshot!(readable(&job.html));
}
