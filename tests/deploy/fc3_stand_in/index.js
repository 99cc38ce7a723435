// A stand-in for the fc3 component of Serverless Devs, which no public package offers. It is for
// tests of s.yaml with the real CLI, on a machine that is offline. It stores its cloud in a file in
// the home folder.
//
// It has these features of the real component:
// - The contract with the CLI: commands, getSchema and inputs.
// - A schema of the properties that we use. The schema follows the component's public interface, but
//   is stricter: it refuses unknown properties, and requires those that we always set.
// - `local`, but without Docker. A shell sets the environment variables, and may change their values.
// - The deploy as it was seen in fc3 0.1.22. The component compares the function with s.yaml, shows
//   the differences with their values, asks whether to deploy, and prints all variables.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const readline = require('readline');

const HERE = __dirname;
const CLOUD = path.join(os.homedir(), 'stand-in-cloud.json');
const NO_LOGS = { project: '', logstore: '', logBeginRule: 'None' };
// A test sets these variables: the Python to run, and the script that serves one event.
const { STAND_IN_PYTHON, STAND_IN_SERVE_ONCE, STAND_IN_ROOT } = process.env;

// If the input ends without an answer, Node.js has nothing left to do, and exits with status 0.
async function agreed(inputs, question) {
  if (inputs.args.includes('-y')) return true;
  process.stdout.write(`${question} (Y/n)`);
  const lines = readline.createInterface({ input: process.stdin });
  const answer = await new Promise((resolve) => lines.once('line', resolve));
  lines.close();
  return !answer.startsWith('n');
}

function differences(before, after, name) {
  if (!(before instanceof Object && after instanceof Object)) {
    return before === after ? [] : [`${name}: ${before} => ${after}`];
  }
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((key) => differences(before[key], after[key], `${name}.${key}`));
}

class Cloud {
  constructor() {
    this.parts = {};
    this.writes = [];
    if (fs.existsSync(CLOUD)) Object.assign(this, JSON.parse(fs.readFileSync(CLOUD, 'utf8')));
  }

  // Returns one part as the real component reads it from the cloud: the function, its trigger or its instance limit.
  read(name) {
    const { logConfig, ...rest } = this.parts[name];
    return logConfig?.project ? { logConfig, ...rest } : rest;
  }

  write(name, value) {
    this.parts[name] = value;
    this.writes.push(name);
    fs.writeFileSync(CLOUD, JSON.stringify(this));
  }
}

exports.default = class StandIn {
  constructor() {
    const help = (description) => ({ help: { description } });
    this.commands = {
      deploy: help('into a file'),
      plan: help('what a deploy would change'),
      remove: help('from the file'),
      local: { ...help('run here'), subCommands: { invoke: help('once'), start: help('serve') } },
    };
  }

  getSchema() {
    return fs.readFileSync(path.join(HERE, 'schema.json'), 'utf8');
  }

  // Returns [name, wanted value, differences] for each part. A new part has no differences.
  compared(cloud, props) {
    const { region, code, triggers, customDomain, concurrencyConfig, ...rest } = props;
    const wanted = { function: rest, triggers: { ...triggers }, concurrency: concurrencyConfig };
    return Object.entries(wanted).map(([name, value]) => {
      const known = name in cloud.parts;
      return [name, value, known ? differences(cloud.read(name), value, name) : []];
    });
  }

  async plan(inputs) {
    return this.compared(new Cloud(), inputs.props).flatMap(([, , differing]) => differing);
  }

  async deploy(inputs) {
    const { props } = inputs;
    const cloud = new Cloud();
    const agreedTo = [];
    for (const [name, value, differing] of this.compared(cloud, props)) {
      if (differing.length > 0) process.stdout.write(`${name} was changed:\n${differing.join('\n')}\n`);
      if (differing.length === 0 || (await agreed(inputs, 'Deploy it with local config?'))) {
        agreedTo.push([name, value]);
      }
    }
    fs.statSync(path.resolve(path.dirname(inputs.yaml.path), props.code));
    for (const [name, value] of agreedTo) {
      // The component creates the domain before it sets the limit on instances (concurrency).
      if (name === 'concurrency' && props.customDomain) {
        const { certificate, privateKey } = props.customDomain.certConfig;
        for (const file of [certificate, privateKey]) fs.statSync(file);
        cloud.write('domain', props.customDomain);
      }
      cloud.write(name, name === 'function' ? { logConfig: NO_LOGS, ...value } : value);
    }
    return { region: props.region, ...cloud.parts.function };
  }

  async remove(inputs) {
    if (await agreed(inputs, 'Are you sure you want to delete the resources listed above?')) {
      fs.rmSync(CLOUD);
    }
  }

  async local(inputs) {
    const [command, ...rest] = inputs.args;
    const folder = path.resolve(path.dirname(inputs.yaml.path), inputs.props.code);
    if (command === 'start') {
      await this.run(inputs, ['-B', path.join(HERE, 'start.py'), STAND_IN_ROOT, folder], '');
    } else {
      const event = fs.readFileSync(rest[rest.indexOf('-f') + 1], 'utf8');
      const script = ['-I', '-S', '-B', STAND_IN_SERVE_ONCE, folder];
      await this.run(inputs, script, `[${event}]`);
    }
    return {};
  }

  async run(inputs, script, stdin) {
    const { props } = inputs;
    const credential = await inputs.getCredential();
    const variables = {
      FC_REGION: props.region,
      FC_ACCOUNT_ID: credential.AccountID,
      FC_FUNCTION_NAME: props.functionName,
      FC_FUNCTION_HANDLER: props.handler,
      ALIBABA_CLOUD_ACCESS_KEY_ID: credential.AccessKeyID,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: credential.AccessKeySecret,
      ALIBABA_CLOUD_SECURITY_TOKEN: credential.SecurityToken || '',
      ...props.environmentVariables,
    };
    // The values are in double quotes and not escaped, so the shell may change them.
    const pairs = Object.entries(variables).map(([name, value]) => `"${name}=${value}"`);
    const words = script.map((word) => `'${word}'`);
    const line = `exec env -i ${pairs.join(' ')} '${STAND_IN_PYTHON}' ${words.join(' ')}`;
    const child = spawn('sh', ['-c', line], { stdio: ['pipe', 'inherit', 'inherit'] });
    child.stdin.end(stdin);
    await new Promise((resolve, reject) => {
      child.on('exit', (status) =>
        status === 0 ? resolve() : reject(new Error(`the function ended with ${status}`)),
      );
    });
  }
};
