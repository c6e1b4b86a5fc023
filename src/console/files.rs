//! The table of the files.

/// Where each file is served, and what is in it.
pub(super) const FILES: &[(&str, &[u8])] = &[
    ("/", include_bytes!("assets/index.html")),
    ("/docs", include_bytes!("assets/docs.html")),
    ("/console/api.js", include_bytes!("assets/api.js")),
    ("/console/app.js", include_bytes!("assets/app.js")),
    ("/console/chart.js", include_bytes!("assets/chart.js")),
    (
        "/console/conversation.js",
        include_bytes!("assets/conversation.js"),
    ),
    (
        "/console/countdown.js",
        include_bytes!("assets/countdown.js"),
    ),
    ("/console/dialogs.js", include_bytes!("assets/dialogs.js")),
    ("/console/docs.css", include_bytes!("assets/docs.css")),
    ("/console/docs.js", include_bytes!("assets/docs.js")),
    ("/console/dom.js", include_bytes!("assets/dom.js")),
    ("/console/health.js", include_bytes!("assets/health.js")),
    ("/console/icon.svg", include_bytes!("assets/icon.svg")),
    ("/console/live.js", include_bytes!("assets/live.js")),
    ("/console/metrics.js", include_bytes!("assets/metrics.js")),
    ("/console/session.js", include_bytes!("assets/session.js")),
    ("/console/sessions.js", include_bytes!("assets/sessions.js")),
    ("/console/style.css", include_bytes!("assets/style.css")),
    ("/console/words.js", include_bytes!("assets/words.js")),
];
