//! Every sentence that people read, in both languages, side by side. A text that lacks one of them does not compile;
//! the errors of the libraries stay English inside these frames.

use std::fmt::Display;

use crate::lang::Lang;

macro_rules! texts {
    ($($name:ident($($arg:ident),*) { $en:literal $fr:literal })*) => {
        impl Lang {
            $(
                #[doc = $en]
                pub fn $name(self $(, $arg: impl Display)*) -> String {
                    match self {
                        Lang::En => format!($en),
                        Lang::Fr => format!($fr),
                    }
                }
            )*
        }

        /// Name, English, French.
        #[cfg(test)]
        const CATALOGUE: &[(&str, &str, &str)] = &[$((stringify!($name), $en, $fr)),*];
    };
}

texts! {
    // Frames.
    error() { "error:" "erreur :" }
    interrupted() {
        "interrupted; nothing is lost, the next run goes on from here"
        "interrompu ; rien n'est perdu, la prochaine exécution reprendra ici"
    }

    // The command line.
    see_help() { "for the options, run: server_sync --help" "pour les options : server_sync --help --lang fr" }
    unknown_argument(what) { "unknown argument {what}" "argument inconnu : {what}" }
    unknown_command(what) { "unknown command {what}" "commande inconnue : {what}" }
    did_you_mean(what) { "; did you mean {what}?" " ; vouliez-vous dire {what} ?" }
    value_missing(what) { "a value is missing for {what}" "il manque une valeur à {what}" }
    bad_value(value, what) { "{value} is no value for {what}" "{value} n'est pas une valeur pour {what}" }
    argument_missing(what) { "missing: {what}" "il manque : {what}" }
    argument_conflict(what, other) { "{what} cannot be used with {other}" "{what} ne va pas avec {other}" }
    command_missing() { "a command is missing" "il manque une commande" }
    bad_arguments() { "the arguments cannot be understood" "les arguments sont incompréhensibles" }
    vd_missing() { "no virtual desktop was named" "aucun bureau virtuel n'a été nommé" }
    vd_missing_hint() {
        "say which: server_sync -vd NAME\nserver_sync --help shows all options"
        "dites lequel : server_sync -vd NOM\nserver_sync --help montre toutes les options"
    }
    only_for_rounds(option) {
        "{option} is for rounds and cannot be used with a command"
        "{option} concerne la synchronisation et ne va pas avec une commande"
    }
    dry_daemon() { "a dry run is done once, not by the daemon" "un essai à blanc se fait une fois, pas par le démon" }

    // Settings.
    no_settings(vd, file) {
        "the virtual desktop `{vd}` is not configured here: there is no {file}"
        "le bureau virtuel « {vd} » n'est pas configuré ici : {file} n'existe pas"
    }
    configured_here(names) { "configured here: {names}" "configurés ici : {names}" }
    how_to_configure(options, file) {
        "to configure it: server_sync init-site {options} --example > {file}\nedit that file, chmod 600 {file}\nthen: server_sync init-site {options}"
        "pour le configurer : server_sync init-site {options} --example > {file}\nmodifiez ce fichier, chmod 600 {file}\npuis : server_sync init-site {options}"
    }
    no_mode(vd, file) {
        "virtual desktop `{vd}`: neither master nor slave mode is enabled in {file}"
        "bureau virtuel « {vd} » : ni le mode maître ni le mode esclave n'est activé dans {file}"
    }
    no_mode_hint() {
        "for a master, write a [[master]] section with `enabled = true` for each slave\nfor a slave, write a [slave] section with `enabled = true` and its `masters`"
        "pour un maître, écrivez une section [[master]] avec « enabled = true » pour chaque esclave\npour un esclave, écrivez une section [slave] avec « enabled = true » et ses « masters »"
    }

    // Rounds.
    agreed(peer) { "{peer}: the two sites go together" "{peer} : les deux sites s'accordent" }
    comparing_all() { "comparing all records" "comparaison de tous les enregistrements" }
    comparing(table) { "comparing {table}" "comparaison de {table}" }
    receiving() { "receiving" "réception" }
    sending() { "sending" "envoi" }
    trying_again(error) { "trying again: {error}" "nouvel essai : {error}" }
    round_done(peer, received, sent, time) {
        "{peer}: {received} received, {sent} sent in {time}"
        "{peer} : reçu {received}, envoyé {sent} en {time}"
    }
    round_planned(peer, received, sent) {
        "{peer}: {received} would be received, {sent} sent; nothing was written"
        "{peer} : {received} à recevoir, {sent} à envoyer ; rien n'a été écrit"
    }
    table_moved(received, sent) { "received {received}, sent {sent}" "reçu {received}, envoyé {sent}" }
    conflicts_found(conflicts, vd) {
        "{conflicts}, the losing values are kept: server_sync conflicts -vd {vd}"
        "{conflicts}, les valeurs perdantes sont gardées : server_sync conflicts -vd {vd}"
    }
    rows_parked(rows) {
        "{rows} wait because a constraint forbids them for now"
        "{rows} en attente, car une contrainte les interdit pour l'instant"
    }
    table_paused(table, reason) { "table {table} waits: {reason}" "la table {table} attend : {reason}" }
    table_refused(table, reason) {
        "table {table} is not synchronised: {reason}"
        "la table {table} n'est pas synchronisée : {reason}"
    }
    slave_only(masters, vd) {
        "this site is ready; {masters} starts the rounds of {vd}"
        "ce site est prêt ; {masters} lance les synchronisations de {vd}"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> = text.split('{').skip(1).filter_map(|t| t.split('}').next()).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_text_exists_in_both_languages_and_says_the_same_things() {
        for (name, en, fr) in CATALOGUE {
            assert!(!en.trim().is_empty() && !fr.trim().is_empty(), "{name} is empty");
            assert_ne!(en, fr, "{name} was not translated");
            assert_eq!(placeholders(en), placeholders(fr), "{name} says different things");
            assert_eq!(en.lines().count(), fr.lines().count(), "{name} has other lines");
        }
    }
}
