//! Which cipher ssh begins with. Its own first choice is made for processors without instructions for AES, and takes several times
//! as much of those that have them. So where the administrator left the choice to ssh, AES-GCM comes first, of the same ciphers.
//! Whatever is configured stays, and so does everything if ssh cannot be asked.

use std::process::{Child, Stdio};

use super::Ssh;

/// What processors with instructions for AES are best at.
const FAST: &str = "aes128-gcm@openssh.com";

impl Ssh {
    /// The same, with the ciphers in the order that suits this machine, if nobody configured another.
    #[must_use]
    pub fn with_fast_cipher(self) -> Self {
        if !has_instructions() {
            return self;
        }
        // The configuration in which there is nothing.
        let empty = Ssh { config: Some("none".into()), ..self.clone() };
        let [configured, usual] = [&self, &empty].map(Ssh::ask).map(|child| child.and_then(ciphers));
        Ssh { ciphers: configured.zip(usual).and_then(|(configured, usual)| reordered(&configured, &usual)), ..self }
    }

    /// Asks ssh what is configured; it connects to nobody for that.
    fn ask(&self) -> Option<Child> {
        let mut command = self.options();
        command.arg("-G").arg("--").arg(&self.host);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()
    }
}

fn ciphers(child: Child) -> Option<String> {
    let told = child.wait_with_output().ok()?.stdout;
    String::from_utf8_lossy(&told).lines().find_map(|line| line.strip_prefix("ciphers ")).map(str::to_owned)
}

/// The usual ciphers with the fast one first; nothing if others are configured, or it is first or not among them.
fn reordered(configured: &str, usual: &str) -> Option<String> {
    let others: Vec<&str> = usual.split(',').filter(|cipher| *cipher != FAST).collect();
    let ciphers = [&[FAST], &others[..]].concat().join(",");
    let is_ours_to_choose = configured == usual && usual.split(',').any(|cipher| cipher == FAST);
    (is_ours_to_choose && ciphers != usual).then_some(ciphers)
}

/// Whether this machine has instructions for AES-GCM.
fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_one_comes_first_if_nobody_chose() {
        let usual = "chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
        let fast = "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com";
        assert_eq!(reordered(usual, usual).as_deref(), Some(fast));
        assert_eq!(reordered(fast, fast), None, "it is first");
        assert_eq!(reordered("aes256-ctr", usual), None, "others are configured");
        assert_eq!(reordered(fast, usual), None, "another order is configured");
        assert_eq!(reordered("aes128-ctr", "aes128-ctr"), None, "there is none");
    }
}
