//! The manual's frame; the manual itself is `app/help/*.md`.

super::table!(Help {
    title: "Help", "帮助";
    text: "A short manual. Five minutes to read.", "简短手册,五分钟读完。";
});
