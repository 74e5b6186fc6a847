#!/usr/bin/env bash
# A real one-node SLURM on this machine: starts munge, slurmctld and slurmd, runs a small sweep through
# launcher=submitit_slurm, compares its tables with a serial run's, and stops what it started.
# Needs root and the packages slurm-wlm and munge:  scripts/slurm_smoke.sh [further arguments of harness run]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
host=$(hostname -s)
pids=()

stop() {
  scancel --quiet --partition=smoke 2>/dev/null || true # jobs of a run that broke off
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

start() { # start NAME COMMAND...: in the foreground of a background job, so that we know its process id
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  pids+=($!)
}

until_works() { # until_works COMMAND...
  for _ in $(seq 60); do "$@" >/dev/null 2>&1 && return 0; sleep 0.5; done
  echo "does not work: $*" >&2
  tail -n 20 "$work"/*.log >&2
  return 1
}

mkdir -p "$work"/{state,spool,munge}
chmod 0755 "$work" "$work/munge"
dd if=/dev/urandom of="$work/munge.key" bs=1 count=1024 status=none
chmod 0400 "$work/munge.key"
socket="$work/munge/socket"
cat >"$work/slurm.conf" <<CONF
ClusterName=smoke
SlurmctldHost=$host
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
NodeName=$host CPUs=$(nproc) State=UNKNOWN
PartitionName=smoke Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$work/slurm.conf"

start munged munged --foreground --force --key-file="$work/munge.key" --socket="$socket" \
  --pid-file="$work/munge/pid" --log-file="$work/munge/log" --seed-file="$work/munge/seed"
until_works munge --socket="$socket" --no-input
start slurmctld slurmctld -D
start slurmd slurmd -D -N "$host"
until_works sh -c "sinfo -h -o %T | grep -q idle"
echo "SLURM $(sinfo -V | cut -d' ' -f2) is up with $(sinfo -h -o %D) node"

sweep=(model=smollm2 data=embedded 'methods=[dense,sparq]' 'ratios=[4]' budget=balanced limit=2 engine.batch_size=1
  task=wikitext,squad shards=2 "$@")
export OMP_NUM_THREADS=1 # the same arithmetic wherever a job runs
.venv/bin/python -m harness run -m "${sweep[@]}" results="$work/serial" >"$work/serial.log"
.venv/bin/python -m harness run -m "${sweep[@]}" results="$work/slurm" launcher=submitit_slurm \
  hydra.launcher.partition=smoke hydra.launcher.cpus_per_task=1 hydra.launcher.gres=null hydra.launcher.mem_gb=null
sacct_free=$(find "$work/slurm" -name '*_result.pkl' | wc -l)
echo "$sacct_free jobs ran under SLURM"
.venv/bin/python scripts/compare_tables.py "$work/serial" "$work/slurm"
