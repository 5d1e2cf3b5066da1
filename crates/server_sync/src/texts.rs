//! Every sentence that people read, in both languages, side by side. A text that lacks one of them does not compile;
//! the errors of the libraries stay English inside these frames.

use std::fmt::Display;

use crate::lang::Lang;

macro_rules! texts {
    ($($name:ident($($arg:ident),*) { $en:literal $fr:literal })*) => {
        impl Lang {
            $(
                #[doc = concat!("The text `", stringify!($name), "`.")]
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
    files_so_far(title, files, total) {
        "{title}: file {files} of {total}"
        "{title} : fichier {files} sur {total}"
    }
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
        "{rows} not shown as written, because a constraint forbids it for now; see `conflicts`"
        "{rows} non affichées telles quelles, car une contrainte l'interdit pour l'instant ; voir `conflicts`"
    }
    // Verification.
    verify_no_slaves(masters) {
        "this site has no slaves to compare with; its masters can: {masters}"
        "ce site n'a pas d'esclave avec qui comparer ; ses maîtres le peuvent : {masters}"
    }
    verified_equal(peer, tables, rows, seconds) {
        "{peer}: {tables} with {rows} are equal ({seconds})"
        "{peer} : {tables} avec {rows} sont identiques ({seconds})"
    }
    verified_different(peer, rows, tables, seconds) {
        "{peer}: {rows} differ in {tables} ({seconds})"
        "{peer} : {rows} en différence dans {tables} ({seconds})"
    }
    verified_in_part(peer, tables, seconds) {
        "{peer}: what was compared is equal, {tables} could not be compared ({seconds})"
        "{peer} : ce qui a été comparé est identique, {tables} sans comparaison possible ({seconds})"
    }
    verified_table(table, rows) { "{table}: {rows}, equal" "{table} : {rows}, identique" }
    verified_table_differs(table, differing, here, there) {
        "{table}: {differing} with other values, {here} only here, {there} only there"
        "{table} : {differing} aux valeurs différentes, {here} seulement ici, {there} seulement là-bas"
    }
    verified_on_the_way(table, rows) {
        "{table}: {rows} will be equal after the next round"
        "{table} : {rows} en attente de la prochaine synchronisation"
    }
    example_values(key) { "{key}: other values" "{key} : valeurs différentes" }
    example_here(key) { "{key}: only here" "{key} : seulement ici" }
    example_there(key) { "{key}: only there" "{key} : seulement là-bas" }
    verify_hint(vd) {
        "to make them equal: server_sync -vd {vd} -init"
        "pour les rendre identiques : server_sync -vd {vd} -init"
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

    // Folders of documents.
    documents_of(name) { "documents {name}" "les documents {name}" }
    folder_done(name, here, peer, there, received, sent) {
        "documents {name}: {here} changed here, {there} at {peer}; {received} received, {sent} sent"
        "documents {name} : {here} en changement ici, {there} à {peer} ; reçu {received}, envoyé {sent}"
    }
    folder_planned(name, received, sent) {
        "documents {name}: {received} would be received, {sent} sent"
        "documents {name} : {received} à recevoir, {sent} à envoyer"
    }
    folder_summary(name, files, skipped) {
        "documents {name}: {files} changed, {skipped} left out"
        "documents {name} : {files} en changement, {skipped} de côté"
    }
    folder_paused(name, reason) { "documents {name} wait: {reason}" "les documents {name} attendent : {reason}" }
    folder_failed(name, error) { "documents {name}: {error}" "documents {name} : {error}" }
    folder_copies(copies, vd) {
        "{copies}, both are kept: server_sync conflicts -vd {vd}"
        "{copies}, les deux sont gardées : server_sync conflicts -vd {vd}"
    }
    path_skipped(site, path, reason) { "left out at {site}: {path}: {reason}" "laissé de côté à {site} : {path} : {reason}" }
    paths_skipped_more(files) { "left out: {files} more" "laissés de côté : encore {files}" }
    status_folder(name, path, files, copies) {
        "documents {name} in {path}: {files}, {copies}"
        "documents {name} dans {path} : {files}, {copies}"
    }
    status_folder_new(name, path) {
        "documents {name} in {path}: not set up yet; the first round does that"
        "documents {name} dans {path} : pas encore préparés ; la première synchronisation s'en charge"
    }
    status_folder_in_step(name, age, at) {
        "documents {name}: last in step {age} ago ({at})"
        "documents {name} : à jour il y a {age} ({at})"
    }
    status_folder_never(name) {
        "documents {name}: never synchronised yet"
        "documents {name} : encore jamais synchronisés"
    }
    status_folder_skipped(files) { "left out in the last round: {files}" "laissés de côté la dernière fois : {files}" }
    verified_folder(name, files) { "documents {name}: {files}, equal" "documents {name} : {files}, identiques" }
    verified_folder_differs(name, differing, here, there) {
        "documents {name}: {differing} differ, {here} only here, {there} only there"
        "documents {name} : {differing} en différence, {here} seulement ici, {there} seulement là-bas"
    }
    verified_folder_unread(unread, waiting) {
        "not looked at: {unread}; not made like the other site's yet: {waiting}"
        "non examinés : {unread} ; pas encore faits comme sur l'autre site : {waiting}"
    }
    check_folder(name, path) { "documents {name}: {path}" "documents {name} : {path}" }
    check_folder_alone(name, slave) {
        "documents {name} are named here and not at {slave}"
        "les documents {name} sont nommés ici et pas à {slave}"
    }
    check_folder_there(name, slave) {
        "documents {name} are named at {slave} and not here"
        "les documents {name} sont nommés à {slave} et pas ici"
    }
    check_folders_alike(slave, names) {
        "{slave}: documents in common: {names}"
        "{slave} : documents en commun : {names}"
    }

    // The trash.
    trash_empty() { "the trash holds no such version" "la corbeille ne contient pas de telle version" }
    trash_how(vd) {
        "to put one back: server_sync trash restore -vd {vd} FOLDER PATH [--at TIME]"
        "pour en remettre une : server_sync trash restore -vd {vd} DOSSIER CHEMIN [--at HEURE]"
    }
    trash_restored(path, at) { "{path} is back as it was until {at}" "{path} est revenu tel qu'il était jusqu'au {at}" }
    trash_not_yet(path, reason) { "{path} could not be put back: {reason}" "{path} n'a pas pu être remis : {reason}" }
    trash_no_folder(name) { "there are no documents {name} in the settings" "les réglages ne nomment pas de documents {name}" }
    trash_bad_time(time) {
        "{time} is no time; write it as the list shows it, or as RFC 3339"
        "{time} n'est pas une heure ; écrivez-la comme la liste la montre, ou selon RFC 3339"
    }
    document_copies(copies) { "{copies} in folders of documents:" "{copies} dans les documents :" }
    document_copies_how() {
        "both edits are there; keep the one you want under the name you want, and delete the other"
        "les deux versions sont là ; gardez celle que vous voulez sous le nom que vous voulez, et supprimez l'autre"
    }

    // The daemon.
    daemon_begins(vd, site, links) {
        "{vd}: {site} keeps {links} in step"
        "{vd} : {site} tient {links} à jour"
    }
    daemon_keeps(vd, site) {
        "{vd}: {site} keeps its store ready for its masters"
        "{vd} : {site} tient sa base prête pour ses maîtres"
    }
    daemon_failed(link, error, seconds) {
        "{link}: {error}; next try in {seconds} s"
        "{link} : {error} ; nouvel essai dans {seconds} s"
    }
    daemon_ending() { "ending after the rounds that run" "fin après les synchronisations en cours" }
    daemon_ended() { "ended" "terminé" }
    daemon_reloaded() { "the settings were read again" "les réglages ont été relus" }
    daemon_not_reloaded(error) {
        "the changed settings are not in force: {error}"
        "les réglages modifiés ne sont pas appliqués : {error}"
    }
    daemon_stuck(link) { "{link}: no sign of life for ten minutes" "{link} : aucun signe de vie depuis dix minutes" }

    // Status.
    status_site(site, number) { "at {site} (number {number})" "à {site} (numéro {number})" }
    status_running(pid, purpose, since) {
        "running: process {pid} ({purpose}) since {since}"
        "en cours : processus {pid} ({purpose}) depuis {since}"
    }
    status_idle() { "nothing runs at the moment" "rien ne tourne en ce moment" }
    status_disabled(slave) { "{slave}: not enabled" "{slave} : désactivé" }
    status_masters(masters) { "rounds are started by {masters}" "les synchronisations sont lancées par {masters}" }
    status_never(slave) { "{slave}: never synchronised yet" "{slave} : encore jamais synchronisé" }
    status_in_step(slave, age, at, rows) {
        "{slave}: in step {age} ago ({at}), {rows} then"
        "{slave} : à jour il y a {age} ({at}), {rows} alors"
    }
    status_failing(since) { "failing since {since}:" "en échec depuis {since} :" }
    status_store(pending, conflicts) {
        "changes waiting to be stamped: {pending}; not settled: {conflicts}"
        "modifications à estampiller : {pending} ; en suspens : {conflicts}"
    }
    member(name, number, told) { "site {name} (number {number}): told how far it is on {told}" "site {name} (numéro {number}) : a dit où il en est le {told}" }
    member_retired(name, number, told) { "site {name} (number {number}): retired, last heard of on {told}" "site {name} (numéro {number}) : retiré, dernières nouvelles le {told}" }
    retired(name, number) { "{name} (number {number}) is retired: nobody waits for it any more" "{name} (numéro {number}) est retiré : plus personne ne l'attend" }
    retired_spreads() {
        "the other sites hear of it with the next rounds; if it comes back, it is compared whole and takes part again"
        "les autres sites l'apprendront aux prochaines synchronisations ; s'il revient, il sera comparé en entier et participera de nouveau"
    }
    status_parked(rows, table, reason) { "{rows} of {table}: {reason}" "{rows} de {table} : {reason}" }
    store_not_prepared() {
        "this site's database has not been prepared yet; the first round does it, or init-site"
        "la base de ce site n'est pas encore préparée ; la première synchronisation le fait, ou init-site"
    }

    // What a constraint keeps from being shown.
    parked_parent(columns) {
        "not shown, because the row that {columns} refers to is not there; shown again when it is, or when {columns} is changed"
        "pas affichée, car la ligne désignée par {columns} n'existe pas ; réaffichée quand elle existe, ou quand {columns} est modifié"
    }
    parked_unique(columns) {
        "not shown, because another row had its {columns} first; change either of them"
        "pas affichée, car une autre ligne avait son {columns} avant ; modifiez l'une des deux"
    }
    parked_value(columns) {
        "shown with another {columns}, because another row had it first; change either of them"
        "affichée avec un autre {columns}, car une autre ligne l'avait avant ; modifiez l'une des deux"
    }
    parked_reference(columns) {
        "shown without {columns}, because the row that it refers to was deleted"
        "affichée sans {columns}, car la ligne désignée a été supprimée"
    }
    parked_stays() {
        "deleted at one site, but shown as long as another row refers to it"
        "supprimée sur un site, mais affichée tant qu'une autre ligne la désigne"
    }
    parked_counter(sums) {
        "shown with the nearest value that fits, because the sum of what all sites added does not: {sums}; add or take away at any site until it does, or widen the column everywhere"
        "affichée avec la valeur possible la plus proche, car la somme des ajouts de tous les sites ne tient pas : {sums} ; ajoutez ou retirez sur un site jusqu'à ce qu'elle tienne, ou élargissez la colonne partout"
    }
    parked_blocked(message) {
        "not shown, because the database refuses it: {message}"
        "pas affichée, car la base la refuse : {message}"
    }
    parked_undecided() {
        "to be decided in the next round"
        "à décider à la prochaine synchronisation"
    }
    parked_row(table, key, reason) { "{table} {key}: {reason}" "{table} {key} : {reason}" }
    parked_other(table, key) { "the other row: {table} {key}" "l'autre ligne : {table} {key}" }
    parked_rows(rows) {
        "{rows} that a constraint keeps from being shown as written (nothing is lost):"
        "{rows} qu'une contrainte empêche d'afficher telles quelles (rien n'est perdu) :"
    }

    // Conflicts.
    conflicts_none() { "no conflicts" "aucun conflit" }
    conflicts_how(vd) {
        "to see one whole: server_sync conflicts show ID -vd {vd}\nto put the other value back: server_sync conflicts restore ID -vd {vd}"
        "pour en voir un en entier : server_sync conflicts show ID -vd {vd}\npour remettre l'autre valeur : server_sync conflicts restore ID -vd {vd}"
    }
    conflict_cell(table, key, column) { "{table} {key}, {column}" "{table} {key}, colonne {column}" }
    conflict_row(table, key) { "{table} {key}, whole row" "{table} {key}, ligne entière" }
    conflict_shown() { "holds" "en vigueur" }
    conflict_aside() { "set aside" "mise de côté" }
    conflict_deleted() { "deleted the row" "a supprimé la ligne" }
    conflict_restored() { "(put back)" "(remise)" }
    before_all() { "before the first round" "avant la première synchronisation" }
    conflict_restore(id, vd) {
        "to put it back: server_sync conflicts restore {id} -vd {vd}"
        "pour la remettre : server_sync conflicts restore {id} -vd {vd}"
    }
    explain_cell() {
        "Both sites wrote this cell without knowing of each other. The later write holds; the other was set aside."
        "Les deux sites ont écrit cette cellule sans se connaître. La dernière écriture est en vigueur ; l'autre est mise de côté."
    }
    explain_insert() {
        "Both sites inserted a row under this key. The later one holds; the other was set aside whole."
        "Les deux sites ont inséré une ligne sous cette clé. La dernière est en vigueur ; l'autre est mise de côté en entier."
    }
    explain_rekeyed(table, old, new) {
        "Two sites inserted a row under the key {old} of {table}. Nothing is lost: the earlier one has the key {new} now, and what its site had refer to it followed."
        "Deux sites ont inséré une ligne sous la clé {old} de {table}. Rien n'est perdu : la première a maintenant la clé {new}, et ce qui la désignait sur son site l'a suivie."
    }
    conflict_rekeyed(new) { "(has the key {new} now)" "(a maintenant la clé {new})" }
    explain_update_lost() {
        "One site deleted the row while the other still wrote to it. The delete was later; the row was set aside whole."
        "Un site a supprimé la ligne pendant que l'autre l'écrivait encore. La suppression est la dernière ; la ligne est mise de côté en entier."
    }
    explain_delete_lost() {
        "One site deleted the row while the other wrote to it later, so it is there. Restoring deletes it."
        "Un site a supprimé la ligne, puis l'autre l'a encore écrite : elle existe donc. Remettre la supprime."
    }
    conflict_unknown(id) { "no conflict has an id that begins with {id}" "aucun conflit n'a d'identifiant commençant par {id}" }
    conflict_ambiguous(id, n) { "{n} conflicts begin with {id}" "{n} conflits commencent par {id}" }
    conflicts_list_hint(vd) {
        "server_sync conflicts list --all -vd {vd} shows the ids"
        "server_sync conflicts list --all -vd {vd} montre les identifiants"
    }
    conflict_restored_before(what) { "{what}: was put back before" "{what} : déjà remise" }
    conflict_put_back(what, value) {
        "{what}: put back: {value}; the next round carries it to the others"
        "{what} : remise : {value} ; la prochaine synchronisation la porte aux autres"
    }

    // Lock, init-site, uninstall.
    cannot_run(program, error) { "cannot run {program}: {error}" "impossible d'exécuter {program} : {error}" }
    site_prepared(vd, site, number, tables) {
        "{vd}: {site} (number {number}) is prepared; synchronised tables: {tables}"
        "{vd} : {site} (numéro {number}) est préparé ; tables synchronisées : {tables}"
    }
    numbering_set(increment, offset) {
        "automatic keys: every {increment}th from {offset}, this site's own"
        "clés automatiques : de {increment} en {increment} à partir de {offset}, propres à ce site"
    }
    numbering_already(increment, offset) {
        "automatic keys: every {increment}th from {offset} already, this site's own"
        "clés automatiques : déjà de {increment} en {increment} à partir de {offset}, propres à ce site"
    }
    numbering_would(statements) { "would run: {statements}" "exécuterait : {statements}" }
    numbering_connections() {
        "Connections that are open keep what they have: restart the application, or its pool of connections."
        "Les connexions ouvertes gardent leur réglage : redémarrez l'application, ou sa réserve de connexions."
    }
    numbering_file() {
        "MariaDB forgets this when it is restarted, unless its configuration file says so, too:"
        "MariaDB l'oublie à son redémarrage, sauf si son fichier de configuration le dit aussi :"
    }
    numbering_everywhere(increment) {
        "At every other site: server_sync init-site --set-auto-increment {increment}, the same number everywhere."
        "Sur chaque autre site : server_sync init-site --set-auto-increment {increment}, le même nombre partout."
    }
    numbering_sqlite() {
        "SQLite has no such setting: two sites can choose the same key. tables.rekey keeps both rows, or let the application choose keys at random."
        "SQLite n'a pas ce réglage : deux sites peuvent choisir la même clé. tables.rekey garde les deux lignes ; ou bien l'application choisit des clés au hasard."
    }
    uninstall_question(vd, site) {
        "Everything of server_sync in the database of {vd} at {site} will be removed: its history, its conflict list, its triggers.\nThe application's data stays. Type {vd} to go on:"
        "Tout ce qui est à server_sync dans la base de {vd} à {site} sera retiré : historique, liste des conflits, déclencheurs.\nLes données de l'application restent. Tapez {vd} pour continuer :"
    }
    uninstall_kept() { "nothing was removed" "rien n'a été retiré" }
    uninstall_parked(rows) {
        "{rows} would be lost: a constraint keeps them from being shown as written, so only server_sync has them"
        "{rows} seraient perdues : une contrainte empêche de les afficher telles quelles, seul server_sync les a"
    }
    uninstall_parked_hint(vd) {
        "see them with `server_sync conflicts -vd {vd}` and settle them, or let them go with -force"
        "voyez-les par `server_sync conflicts -vd {vd}` et réglez-les, ou abandonnez-les par -force"
    }
    uninstall_unasked() { "uninstall asks first, and there is no terminal to ask on" "uninstall demande d'abord, et il n'y a pas de terminal" }
    uninstall_unasked_hint() { "add --yes if you are sure" "ajoutez --yes si vous êtes sûr" }
    uninstalled(vd, site) {
        "{vd}: nothing of server_sync is left in the database of {site}"
        "{vd} : il ne reste rien de server_sync dans la base de {site}"
    }

    // Restore here.
    restore_question(vd, site) {
        "What the database of {vd} at {site} shows will be the truth for all sites: what they wrote since, or have besides, is undone\nthere in the next rounds, and listed as conflicts. This cannot be taken back. Type {vd} to go on:"
        "Ce que montre la base de {vd} à {site} fera foi pour tous les sites : ce qu'ils ont écrit depuis, ou ont en plus, y sera défait\naux prochaines synchronisations, et listé comme conflits. C'est sans retour. Tapez {vd} pour continuer :"
    }
    restore_not_declared() { "nothing was declared" "rien n'a été déclaré" }
    restore_unasked() {
        "restore-here asks first, and there is no terminal to ask on"
        "restore-here demande d'abord, et il n'y a pas de terminal"
    }
    restore_unasked_hint() {
        "see what it would do with --dry-run; add --yes if you are sure"
        "voyez ce qu'il ferait par --dry-run ; ajoutez --yes si vous êtes sûr"
    }
    restore_would_declare(vd, site, tables, rows) {
        "{vd}: {site} would declare {rows} of {tables} tables the truth for all sites"
        "{vd} : {site} déclarerait que {rows} de {tables} tables font foi pour tous les sites"
    }
    restore_declared(vd, site, tables, rows) {
        "{vd}: {rows} of {tables} tables at {site} are the truth for all sites"
        "{vd} : {rows} de {tables} tables de {site} font foi pour tous les sites"
    }
    restore_spreads() {
        "the other sites take it over with the next rounds; what they lose is listed: server_sync conflicts"
        "les autres sites le reprendront aux prochaines synchronisations ; ce qu'ils perdent sera listé : server_sync conflicts"
    }

    // Check.
    level_ok() { "ok" "bien" }
    level_warning() { "warning" "attention" }
    level_error() { "error" "erreur" }
    check_result(errors, warnings) { "{errors}, {warnings}" "{errors} ; {warnings}" }
    check_settings(file) {
        "settings: {file} is complete, its passwords are kept from others"
        "réglages : {file} est complet, ses mots de passe sont à l'abri des autres"
    }
    check_program(version, protocol, format) {
        "server_sync {version}, protocol {protocol}, format {format}"
        "server_sync {version} (protocole {protocol}, format {format})"
    }
    check_database() { "database: reachable" "base : joignable" }
    check_privileges() { "privileges: all that are needed" "droits : tous ceux qu'il faut" }
    check_privileges_missing() {
        "privileges: the account lacks some; type this at the database server:"
        "droits : il en manque au compte ; tapez ceci sur le serveur de base :"
    }
    check_version(version) { "version of the application: {version}" "version de l'application : {version}" }
    check_version_low(version, minimum) {
        "the application is version {version}, and at least {minimum} is needed"
        "l'application est en version {version}, il faut au moins {minimum}"
    }
    check_version_bad(version, error) {
        "the application's version {version}: {error}"
        "la version de l'application, {version} : {error}"
    }
    check_tables(good, excluded) {
        "tables: {good} can be synchronised, {excluded} excluded"
        "tables : {good} synchronisables, {excluded} exclues"
    }
    check_no_key(table) {
        "table {table} cannot be synchronised: it has no primary key and no unique key without NULLs"
        "la table {table} ne peut être synchronisée : ni clé primaire, ni clé unique sans NULL"
    }
    check_no_key_hint(table) {
        "give it a primary key, or exclude it in the settings: [tables] exclude = [\"{table}\"]"
        "donnez-lui une clé primaire, ou excluez-la dans les réglages : [tables] exclude = [\"{table}\"]"
    }
    check_fragile(table) {
        "table {table} is not transactional: a crash of its server can lose the mark of a change"
        "la table {table} n'est pas transactionnelle : une panne du serveur peut perdre la marque d'une modification"
    }
    check_fragile_hint(table) {
        "ALTER TABLE `{table}` ENGINE=InnoDB is safer"
        "ALTER TABLE `{table}` ENGINE=InnoDB est plus sûr"
    }
    check_numbering(increment, offset) {
        "automatic keys: every {increment}th from {offset}, this site's own"
        "clés automatiques : de {increment} en {increment} à partir de {offset}, propres à ce site"
    }
    check_numbering_alike(tables, increment, offset) {
        "automatic keys ({tables} tables): increment {increment}, offset {offset}: two sites can choose the same key for different rows"
        "clés automatiques ({tables} tables) : pas {increment}, départ {offset} : deux sites peuvent choisir la même clé pour des lignes différentes"
    }
    check_numbering_hint(step, site, vd) {
        "in the server's settings at this site: auto_increment_increment = {step}, auto_increment_offset = {site} (the same step at every site)\nor let this set it: server_sync init-site --set-auto-increment {step} -vd {vd}"
        "dans les réglages du serveur de ce site : auto_increment_increment = {step}, auto_increment_offset = {site} (le même pas à tous les sites)\nou laissez faire : server_sync init-site --set-auto-increment {step} -vd {vd}"
    }
    check_store(site, number) {
        "store: prepared for {site} (number {number})"
        "base préparée pour {site} (numéro {number})"
    }
    check_unpublished() {
        "the settings have changed and were not published yet; the next round does it"
        "les réglages ont changé sans être publiés ; la prochaine synchronisation le fera"
    }
    check_unpublished_hint(vd) { "or at once: server_sync init-site -vd {vd}" "ou tout de suite : server_sync init-site -vd {vd}" }
    check_triggers() { "capture: every synchronised table has its triggers" "capture : chaque table synchronisée a ses déclencheurs" }
    check_triggers_missing(tables) {
        "capture: these tables get their triggers in the next round: {tables}"
        "capture : ces tables recevront leurs déclencheurs à la prochaine synchronisation : {tables}"
    }
    check_clock() { "clock: that of the database server is right" "horloge : celle du serveur de base est juste" }
    check_clock_off(difference) {
        "clock: that of the database server differs from this machine's by {difference}"
        "horloge : celle du serveur de base diffère de celle de cette machine de {difference}"
    }
    check_clock_hint() { "timedatectl shows whether a clock is set by the network" "timedatectl montre si une horloge est réglée par le réseau" }
    check_peer(slave) { "{slave}: reachable and prepared" "{slave} : joignable et préparé" }
    check_peer_alone(slave) {
        "{slave}: was not compared with this site, whose own store is not ready"
        "{slave} : n'a pas été comparé à ce site, dont la base n'est pas prête"
    }
    check_agreed(slave, tables) {
        "{slave}: versions, names, numbers and clocks agree; tables alike: {tables}"
        "{slave} : versions, noms, numéros et horloges concordent ; tables pareilles : {tables}"
    }

    // The demo.
    demo_first() { "Two sites, Geneva and Lyon, get to know each other." "Deux sites, Genève et Lyon, font connaissance." }
    demo_first_told(rows) {
        "Geneva has a CRM of {rows}, Lyon an empty one with the same tables."
        "Genève a un CRM de {rows}, Lyon un CRM vide avec les mêmes tables."
    }
    demo_apart() { "The link is down, and people work at both." "La liaison est coupée, et on travaille des deux côtés." }
    demo_apart_told() {
        "They change different and equal cells of the same rows; then the link is back."
        "On modifie des cellules différentes, et une même cellule, des mêmes lignes ; puis la liaison revient."
    }
    demo_cell() { "cell" "cellule" }
    demo_geneva_wrote() { "Geneva wrote" "Genève a écrit" }
    demo_lyon_wrote() { "Lyon wrote" "Lyon a écrit" }
    demo_both_wrote() { "← both wrote" "← les deux" }
    demo_both() { "now at both" "maintenant aux deux" }
    demo_conflict() { "Both wrote the same cell: nothing is lost." "Les deux ont écrit la même cellule : rien n'est perdu." }
    demo_conflict_told(n) {
        "The later write holds; the other one is in the list ({n}):"
        "La dernière écriture est en vigueur ; l'autre est dans la liste ({n}) :"
    }
    demo_restored() {
        "Somebody in Geneva puts the other value back (server_sync conflicts restore):"
        "Quelqu'un à Genève remet l'autre valeur (server_sync conflicts restore) :"
    }
    demo_now(site, table, key, column, value) {
        "{site}: {table} {key}, {column} is {value}"
        "{site} : {table} {key}, {column} vaut {value}"
    }
    demo_away() { "Lyon is away while Geneva works on." "Lyon est absent pendant que Genève continue." }
    demo_away_told(n, tables) {
        "{n} transactions later Lyon is behind in {tables} tables, and comes back:"
        "{n} transactions plus tard, Lyon est en retard dans {tables} tables, et revient :"
    }
    demo_proof() { "The proof: every table, its rows and a hash over all of them." "La preuve : chaque table, ses lignes et leur empreinte." }
    demo_equal(tables) { "All {tables} tables are equal at both sites." "Les {tables} tables sont égales sur les deux sites." }
    demo_unequal() { "The sites differ." "Les sites diffèrent." }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> = text.split('{').skip(1).filter_map(|t| t.split('}').next()).collect();
        found.sort_unstable();
        found.dedup();
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
