//! What the program says before it does anything: help, mistakes on the command line, missing settings. Renew the
//! expected texts with SNAPSHOTS=overwrite.
#![allow(clippy::unwrap_used)]

mod support;

use snapbox::{assert_data_eq, str};
use support::run;

#[test]
fn help() {
    assert_data_eq!(
        run(&["-h"]).all(),
        str![[r#"
exit 0
Keeps the working copies of an application at several sites in step, in both directions

Usage: server_sync -vd NAME [-f|-force] [-init] [-d|-daemon]
       server_sync COMMAND -vd NAME [OPTIONS]

Commands:
  check         Try everything a round needs, and say what is missing
  status        Show how the links are doing
  verify        Compare everything with each slave and report; nothing is changed
  conflicts     Show values that lost against a concurrent change, and put them back
  trash         Show the versions of files that were replaced or deleted, and put them back
  lock          Run a command, such as an upgrade, while no round runs
  init-site     Prepare this site's database and publish its settings
  restore-here  Declare what this site's database shows the truth for all sites, after a backup was put back
  retire        Declare that a site has left the network for good
  agent         Serve this site to a master over standard input and output; ssh starts it
  demo          Show how it works, on two small databases in a temporary folder
  uninstall     Remove everything of server_sync from this site's database

Options:
      --vd <NAME>                  The virtual desktop
  -f, --force                      Go on where a safety halt or a lock would stop
      --json                       Write one JSON object per line, for programs
  -v, --verbose...                 Say more; twice for details
  -q, --quiet                      Say nothing but errors
      --config-dir <DIR>           Where the settings are (also: SERVER_SYNC_CONFIG_DIR)
      --color <auto|always|never>  When to colour; auto: on terminals, unless NO_COLOR is set
      --lang <en|fr>               The language of the output (default: that of the environment)
      --init                       Compare all records of both databases instead of only what changed
  -d, --daemon                     Stay and synchronise at the configured period (in the foreground, for systemd)
  -n, --dry-run                    Show what would be done, and write nothing
  -h, --help                       Print help (see more with '--help')
  -V, --version                    Print version

"#]]
    );
    assert_data_eq!(
        run(&["-h", "--lang", "fr"]).all(),
        str![[r#"
exit 0
Maintient à jour, dans les deux sens, les copies de travail d'une application sur plusieurs sites.

Utilisation : server_sync -vd NOM [-f|-force] [-init] [-d|-daemon]
              server_sync COMMANDE -vd NOM [OPTIONS]

Commandes :
  check         Essayer tout ce qu'il faut à une synchronisation, et dire ce qui manque.
  status        Montrer l'état des liaisons.
  verify        Tout comparer avec chaque esclave et rendre compte ; rien n'est modifié.
  conflicts     Montrer les valeurs qui ont perdu contre une modification simultanée, et les remettre.
  trash         Montrer les versions des fichiers remplacés ou supprimés, et les remettre.
  lock          Exécuter une commande, telle une mise à niveau, pendant qu'aucune synchronisation ne tourne.
  init-site     Préparer la base de ce site et publier ses réglages.
  restore-here  Déclarer que ce que montre la base de ce site fait foi pour tous, après la remise d'une sauvegarde.
  retire        Déclarer qu'un site a quitté le réseau pour de bon.
  agent         Servir ce site à un maître par l'entrée et la sortie standard ; ssh le lance.
  demo          Montrer comment cela marche, sur deux petites bases dans un dossier temporaire.
  uninstall     Retirer de la base de ce site tout ce qui est à server_sync.

Options :
      --vd <NOM>                   Le bureau virtuel.
  -f, --force                      Continuer là où une sécurité ou un verrou arrêterait.
      --json                       Écrire un objet JSON par ligne, pour les programmes.
  -v, --verbose...                 En dire plus ; deux fois pour les détails.
  -q, --quiet                      Ne dire que les erreurs.
      --config-dir <DOSSIER>       Où se trouvent les réglages (aussi : SERVER_SYNC_CONFIG_DIR).
      --color <auto|always|never>  Quand colorer ; auto : sur les terminaux, sauf si NO_COLOR est défini.
      --lang <en|fr>               La langue de l'affichage (par défaut : celle de l'environnement).
      --init                       Comparer tous les enregistrements des deux bases au lieu des seuls changements.
  -d, --daemon                     Rester et synchroniser à la période réglée (au premier plan, pour systemd).
  -n, --dry-run                    Montrer ce qui serait fait, et ne rien écrire.
  -h, --help                       Afficher l'aide.
  -V, --version                    Afficher la version.

"#]]
    );
    assert_data_eq!(
        run(&["conflicts", "-h", "--lang", "fr"]).all(),
        str![[r#"
exit 0
Montrer les valeurs qui ont perdu contre une modification simultanée, et les remettre.

Utilisation : server_sync conflicts [OPTIONS] [COMMAND]

Commandes :
  list     Les énumérer, les plus récents d'abord (par défaut).
  show     En montrer un en entier.
  restore  Remettre la valeur perdante, comme une nouvelle modification.

Options :
      --vd <NOM>                   Le bureau virtuel.
  -f, --force                      Continuer là où une sécurité ou un verrou arrêterait.
      --json                       Écrire un objet JSON par ligne, pour les programmes.
  -v, --verbose...                 En dire plus ; deux fois pour les détails.
  -q, --quiet                      Ne dire que les erreurs.
      --config-dir <DOSSIER>       Où se trouvent les réglages (aussi : SERVER_SYNC_CONFIG_DIR).
      --color <auto|always|never>  Quand colorer ; auto : sur les terminaux, sauf si NO_COLOR est défini.
      --lang <en|fr>               La langue de l'affichage (par défaut : celle de l'environnement).
  -h, --help                       Afficher l'aide.

"#]]
    );
    assert_data_eq!(
        run(&["lock", "-h"]).all(),
        str![[r#"
exit 0
Run a command, such as an upgrade, while no round runs

Usage: server_sync lock [OPTIONS] -- <COMMAND>...

Arguments:
  <COMMAND>...  The command and its arguments

Options:
      --vd <NAME>                  The virtual desktop
  -f, --force                      Go on where a safety halt or a lock would stop
      --json                       Write one JSON object per line, for programs
  -v, --verbose...                 Say more; twice for details
  -q, --quiet                      Say nothing but errors
      --config-dir <DIR>           Where the settings are (also: SERVER_SYNC_CONFIG_DIR)
      --color <auto|always|never>  When to colour; auto: on terminals, unless NO_COLOR is set
      --lang <en|fr>               The language of the output (default: that of the environment)
  -h, --help                       Print help

"#]]
    );
}

#[test]
fn mistakes() {
    assert_data_eq!(
        run(&[]).all(),
        str![[r#"
exit 2
error: no virtual desktop was named
  say which: server_sync -vd NAME
  server_sync --help shows all options

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "-init"]).all(),
        str![[r#"
exit 2
error: a value is required for '--vd <NAME>' but none was supplied

For more information, try '--help'.

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "crm", "--inti"]).all(),
        str![[r#"
exit 2
error: unexpected argument '--inti' found

  tip: a similar argument exists: '--init'

Usage: server_sync -vd NAME [-f|-force] [-init] [-d|-daemon]
       server_sync COMMAND -vd NAME [OPTIONS]

For more information, try '--help'.

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "crm", "--inti", "--lang", "fr"]).all(),
        str![[r#"
exit 2
erreur : argument inconnu : --inti ; vouliez-vous dire --init ?
  pour les options : server_sync --help --lang fr

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "crm", "stat", "--lang", "fr"]).all(),
        str![[r#"
exit 2
erreur : commande inconnue : stat ; vouliez-vous dire status ?
  pour les options : server_sync --help --lang fr

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "crm", "--color", "pink", "--lang", "fr"]).all(),
        str![[r#"
exit 2
erreur : pink n'est pas une valeur pour --color <auto|always|never>
  pour les options : server_sync --help --lang fr

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "crm", "-v", "-q", "--lang", "fr"]).all(),
        str![[r#"
exit 2
erreur : --verbose... ne va pas avec --quiet
  pour les options : server_sync --help --lang fr

"#]]
    );
    assert_data_eq!(
        run(&["conflicts", "show", "-vd", "crm", "--lang", "fr"]).all(),
        str![[r#"
exit 2
erreur : il manque : <ID>
  pour les options : server_sync --help --lang fr

"#]]
    );
    assert_data_eq!(
        run(&["status", "-init", "-vd", "crm"]).all(),
        str![[r#"
exit 2
error: unexpected argument '--init' found

Usage: server_sync status [OPTIONS]

For more information, try '--help'.

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "crm", "-daemon", "-n"]).all(),
        str![[r#"
exit 2
error: a dry run is done once, not by the daemon
  for the options, run: server_sync --help

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "../etc"]).all(),
        str![[r#"
exit 2
error: "../etc" cannot be the name of a virtual desktop: a name must not begin with `.`

"#]]
    );
}

#[test]
fn not_configured() {
    assert_data_eq!(
        run(&["-vd", "crm", "--config-dir", "/nowhere"]).all(),
        str![[r#"
exit 10
error: the virtual desktop `crm` is not configured here: there is no /nowhere/crm.toml
  to configure it: server_sync init-site --config-dir /nowhere -vd crm --example > /nowhere/crm.toml
  edit that file, chmod 600 /nowhere/crm.toml
  then: server_sync init-site --config-dir /nowhere -vd crm

"#]]
    );
    assert_data_eq!(
        run(&["-vd", "crm", "--config-dir", "/nowhere", "--lang", "fr"]).all(),
        str![[r#"
exit 10
erreur : le bureau virtuel « crm » n'est pas configuré ici : /nowhere/crm.toml n'existe pas
  pour le configurer : server_sync init-site --config-dir /nowhere -vd crm --example > /nowhere/crm.toml
  modifiez ce fichier, chmod 600 /nowhere/crm.toml
  puis : server_sync init-site --config-dir /nowhere -vd crm

"#]]
    );
    for verb in ["check", "status", "conflicts", "init-site", "uninstall"] {
        run(&[verb, "-vd", "crm", "--config-dir", "/nowhere"]).says(10, &["is not configured here", "init-site"]);
    }
}

#[test]
fn an_example_to_begin_from() {
    let said = run(&["init-site", "-vd", "crm", "--example"]).expect(0);
    assert!(said.out.starts_with("# Settings of the virtual desktop `crm`") && said.out.contains("[[master]]"));
}

#[test]
fn versions() {
    assert_data_eq!(
        run(&["--version"]).all(),
        str![[r#"
exit 0
server_sync 0.1.0
protocol 5
format 6

"#]]
    );
}

#[test]
fn a_reader_that_leaves_is_no_trouble() {
    let home = tempfile::tempdir().unwrap();
    let mut demo = support::program(home.path());
    let mut child =
        demo.arg("demo").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
