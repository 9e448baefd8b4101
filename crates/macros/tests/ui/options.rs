#![allow(unused, reason = "only what the macros say matters here")]

use nodewire::node;

#[node(uid = "", categorie = "Text", concurrency = 0, queue = -1, name = "a", name = "b")]
async fn options() {}

#[node(blocking)]
async fn blocking() {}

#[node(concurrency = "many", blocking = 1, uid)]
fn values() {}

#[node(concurrency: 4)]
fn syntax() {}

fn main() {}
