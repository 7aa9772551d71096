//! Studios on a real Kubernetes: the real program outside, the real agent in pods. `make test-kube` brings a cluster up, or uses
//! the one that KUBECONFIG names.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `KUBECONFIG` | the cluster; a namespace is made in it for every test, and removed |
//! | `ATELIER_BINARY` | the program |
//! | `ATELIER_TEST_IMAGE` | a shell and a web server, with the agent as its entrypoint; the nodes can pull it |
//! | `ATELIER_TEST_IMAGE_WITHOUT_AGENT` | one that says `I am no agent`, and ends |
//! | `ATELIER_TEST_REGISTRY`, `ATELIER_TEST_AGENT` | where images are built to (plain HTTP), and the agent that they get |
//! | `ATELIER_TEST_ADDRESS` | an address of this machine that pods reach |
//! | `ATELIER_KUBECTL` | `kubectl` by default |

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test may fail anywhere, has patience of its own, shows the program's log, and names nothing for others"
)]

mod cluster;
mod events;
mod failures;
mod faults;
mod identity;
mod images;
mod impostor;
mod instance;
mod link;
mod main_job;
mod network;
mod volumes;
