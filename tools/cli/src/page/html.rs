//! HTML: text and tables.

use std::fmt::Write;

/// `text`, to stand between tags or in an attribute.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A table, of which the columns from `first_count` on are counts.
pub(crate) fn table<T: AsRef<str>>(head: &[&str], rows: &[Vec<T>], first_count: usize) -> String {
    let mut html = "<div class=\"wide\"><table><tr>".to_owned();
    for cell in head {
        // Writing to a string does not fail.
        let _ = write!(html, "<th>{}</th>", escaped(cell));
    }
    html.push_str("</tr>\n");
    for row in rows {
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let class = if at >= first_count { " class=\"count\"" } else { "" };
            let _ = write!(html, "<td{class}>{}</td>", escaped(cell.as_ref()));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}
