//! The plugins that docs/write-a-plugin.md shows: here they are built and run, and held against the page.

mod changes;
mod heartbeat;
mod latest;

#[test]
fn the_page_shows_what_is_built_here() {
    let page = include_str!("../../../../docs/write-a-plugin.md");
    let files = [
        ("heartbeat.rs", include_str!("heartbeat.rs")),
        ("changes.rs", include_str!("changes.rs")),
        ("latest.rs", include_str!("latest.rs")),
    ];
    for (name, text) in files {
        let shown = page.contains(&format!("```rust\n{text}```\n"));
        assert!(shown, "docs/write-a-plugin.md does not show {name} as it is");
    }
}
