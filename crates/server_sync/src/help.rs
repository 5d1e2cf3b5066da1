//! The help in French. The English help stands beside the arguments themselves; a test holds the two against each
//! other, so that neither can be forgotten.

use clap::{Arg, Command};

const TEMPLATE: &str = "{before-help}{about-with-newline}\nUtilisation : {usage}\n\n{all-args}{after-help}";

const USAGE: &str =
    "server_sync -vd NOM [-f|-force] [-init] [-d|-daemon]\n              server_sync COMMANDE -vd NOM [OPTIONS]";

/// What a command (`""`: the program) or an argument (`command/argument`) is for.
#[rustfmt::skip] // a table: one line for one text
const FRENCH: &[(&str, &str)] = &[
    ("", "Maintient à jour, dans les deux sens, les copies de travail d'une application sur plusieurs sites.\n\nSans commande : une synchronisation par chaque liaison active du bureau virtuel."),
    ("vd", "Le bureau virtuel."),
    ("force", "Continuer là où une sécurité ou un verrou arrêterait."),
    ("json", "Écrire un objet JSON par ligne, pour les programmes."),
    ("verbose", "En dire plus ; deux fois pour les détails."),
    ("quiet", "Ne dire que les erreurs."),
    ("config_dir", "Où se trouvent les réglages (aussi : SERVER_SYNC_CONFIG_DIR)."),
    ("color", "Quand colorer ; auto : sur les terminaux, sauf si NO_COLOR est défini."),
    ("lang", "La langue de l'affichage (par défaut : celle de l'environnement)."),
    ("init", "Comparer tous les enregistrements des deux bases au lieu des seuls changements."),
    ("daemon", "Rester et synchroniser à la période réglée (au premier plan, pour systemd)."),
    ("dry_run", "Montrer ce qui serait fait, et ne rien écrire."),
    ("help", "Afficher l'aide."),
    ("version", "Afficher la version."),
    ("check", "Essayer tout ce qu'il faut à une synchronisation, et dire ce qui manque."),
    ("status", "Montrer l'état des liaisons."),
    ("verify", "Tout comparer avec chaque esclave et rendre compte ; rien n'est modifié."),
    ("conflicts", "Montrer les valeurs qui ont perdu contre une modification simultanée, et les remettre."),
    ("conflicts/list", "Les énumérer, les plus récents d'abord (par défaut)."),
    ("conflicts/list/all", "Aussi ceux dont la valeur perdante a été remise."),
    ("conflicts/show", "En montrer un en entier."),
    ("conflicts/show/id", "Son identifiant, ou le début de celui-ci."),
    ("conflicts/restore", "Remettre la valeur perdante, comme une nouvelle modification."),
    ("conflicts/restore/id", "Son identifiant, ou le début de celui-ci."),
    ("trash", "Montrer les versions des fichiers remplacés ou supprimés, et les remettre."),
    ("trash/list", "Les énumérer, les plus récentes d'abord (par défaut)."),
    ("trash/list/folder", "Seulement celles de ce dossier de documents."),
    ("trash/list/path", "Seulement celles de ce fichier, ou de ce qu'il y avait dans ce répertoire."),
    ("trash/restore", "Remettre une version, comme une nouvelle modification."),
    ("trash/restore/folder", "Le dossier de documents."),
    ("trash/restore/path", "Le chemin du fichier dans ce dossier."),
    ("trash/restore/at", "La version qui y était jusqu'à cette heure, telle que la liste la montre (par défaut : la plus récente)."),
    ("lock", "Exécuter une commande, telle une mise à niveau, pendant qu'aucune synchronisation ne tourne."),
    ("lock/command", "La commande et ses arguments."),
    ("init-site", "Préparer la base de ce site et publier ses réglages."),
    ("init-site/example", "Afficher à la place un exemple complet des réglages."),
    (
        "init-site/set_auto_increment",
        "Donner plutôt au serveur de ce site ses propres numéros pour les clés automatiques, parmi au plus tant de sites.",
    ),
    ("init-site/dry_run", "Dire seulement ce qui serait réglé."),
    ("restore-here", "Déclarer que ce que montre la base de ce site fait foi pour tous, après la remise d'une sauvegarde."),
    ("restore-here/tables", "Seulement cette table ; plusieurs fois pour plusieurs. Sinon toutes celles qui sont synchronisées."),
    ("restore-here/dry_run", "Dire seulement ce qui serait déclaré."),
    ("restore-here/yes", "Ne pas demander."),
    ("retire", "Déclarer qu'un site a quitté le réseau pour de bon."),
    ("retire/site", "Son nom ou son numéro."),
    ("agent", "Servir ce site à un maître par l'entrée et la sortie standard ; ssh le lance."),
    ("demo", "Montrer comment cela marche, sur deux petites bases dans un dossier temporaire."),
    ("uninstall", "Retirer de la base de ce site tout ce qui est à server_sync."),
    ("uninstall/yes", "Ne pas demander."),
];

fn french(path: &str) -> Option<&'static str> {
    FRENCH.iter().find(|(known, _)| *known == path).map(|(_, text)| *text)
}

/// The command with its help in French.
pub fn translate(command: Command) -> Command {
    let mut command = translate_at(command, "").override_usage(USAGE);
    command.build();
    translate_built(command)
}

fn translate_at(command: Command, path: &str) -> Command {
    let about = french(path).unwrap_or_default();
    let short = about.split("\n\n").next().unwrap_or_default();
    let command = command.about(short).long_about(about).help_template(TEMPLATE).subcommand_help_heading("Commandes ");
    let own = |arg: Arg| translate_argument(arg, path);
    let below = |sub: Command| {
        let path = join(path, sub.get_name());
        translate_at(sub, &path)
    };
    command.mut_args(own).mut_subcommands(below)
}

/// `--help` and `--version` exist only once clap has built the command.
fn translate_built(command: Command) -> Command {
    let own = |arg: Arg| match arg.get_id().as_str() {
        "help" | "version" => translate_argument(arg, ""),
        _ => arg,
    };
    command.mut_args(own).mut_subcommands(translate_built)
}

fn translate_argument(arg: Arg, path: &str) -> Arg {
    let id = arg.get_id().as_str();
    // Arguments that every command understands are explained once.
    let text = french(&join(path, id)).or_else(|| french(id)).unwrap_or_default();
    // French has a space before the colon that clap adds.
    let heading = if arg.is_positional() { "Arguments " } else { "Options " };
    let arg = match arg.get_id().as_str() {
        "vd" => arg.value_name("NOM"),
        "config_dir" => arg.value_name("DOSSIER"),
        "command" => arg.value_name("COMMANDE"),
        _ => arg,
    };
    arg.help(text).long_help(text).help_heading(heading)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Cli;
    use clap::CommandFactory;

    /// Every place that needs a text, and its English one.
    fn places(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        found.push((path.to_owned(), command.get_about().map(ToString::to_string).unwrap_or_default()));
        for arg in command.get_arguments() {
            let place = join(path, arg.get_id().as_str());
            found.push((place, arg.get_help().map(ToString::to_string).unwrap_or_default()));
        }
        for sub in command.get_subcommands() {
            places(sub, &join(path, sub.get_name()), found);
        }
    }

    #[test]
    fn every_help_text_exists_in_both_languages() {
        let mut found = Vec::new();
        places(&Cli::command(), "", &mut found);
        for (place, english) in &found {
            assert!(!english.is_empty(), "no English help for {place}");
            assert!(french(place).is_some(), "no French help for {place}");
        }
        for (place, _) in FRENCH.iter().filter(|(p, _)| !["help", "version"].contains(p)) {
            assert!(found.iter().any(|(known, _)| known == place), "French help for {place}, which does not exist");
        }
    }
}
